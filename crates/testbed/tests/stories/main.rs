//! Stories: real servers, real clients, real files and sockets.

/// Each of these stories, which take the suite that its people begin on, as a test on every suite.
#[macro_export]
macro_rules! on_both_suites {
    ($($story:ident),* $(,)?) => {
        mod on_rsa_jwe_1 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(tidings_client::SuiteName::RsaJwe1).await;
            })*
        }
        mod on_mls_1 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story(tidings_client::SuiteName::Mls1).await;
            })*
        }
    };
}

mod accounts;
mod chat;
mod faults;
mod frames;
mod groups;
mod history;
mod hostile;
mod keys;
mod login;
mod mesh;
mod mistakes;
mod mls;
mod operator;
mod packages;
mod strangers;

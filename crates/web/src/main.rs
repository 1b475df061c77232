//! The program that the page's script starts. Elsewhere than in a browser it does nothing.

fn main() {
    #[cfg(target_arch = "wasm32")]
    tidings_web::start();
}

//! The accepting side's TLS. The dialling side's is `tidings_tls`, shared with the client.

use crate::identity::Identity;
use rustls::crypto::aws_lc_rs;
use rustls::{Error, ServerConfig};
use std::sync::Arc;

/// The accepting side's TLS.
pub fn server(identity: &Identity) -> Result<Arc<ServerConfig>, Error> {
    let (certificate, key) = identity.certificate();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}

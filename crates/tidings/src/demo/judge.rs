//! Whether what somebody has is what was written: nothing missing, nothing twice, nothing invented, in order.

use anyhow::{Result, bail};

/// One message, as far as the check looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub author: String,
    pub text: String,
}

/// Compares what was `written`, in order, with what somebody `has`.
pub fn judge(written: &[Said], has: &[Said]) -> Result<()> {
    let count = |list: &[Said], said: &Said| list.iter().filter(|other| *other == said).count();
    for said in written {
        match count(has, said) {
            0 => bail!("missing: {said:?}"),
            n if n > count(written, said) => bail!("there {n} times: {said:?}"),
            _ => {}
        }
    }
    if let Some(said) = has.iter().find(|said| !written.contains(said)) {
        bail!("never written: {said:?}");
    }
    match written.iter().zip(has).find(|(written, has)| written != has) {
        Some((written, has)) => bail!("out of order: {has:?} in the place of {written:?}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(list: &[&str]) -> Vec<Said> {
        list.iter().map(|text| Said { author: "alice@s1".into(), text: (*text).into() }).collect()
    }

    fn fault(has: &[Said]) -> String {
        judge(&said(&["1", "2", "3"]), has).map_or_else(|error| error.to_string(), |()| "none".into())
    }

    /// The controls of the demo's last act.
    #[test]
    fn each_fault_is_found() {
        assert_eq!(fault(&said(&["1", "2", "3"])), "none");
        assert!(fault(&said(&["1", "3"])).starts_with("missing"));
        assert!(fault(&said(&[])).starts_with("missing"));
        assert!(fault(&said(&["1", "2", "2", "3"])).starts_with("there 2 times"));
        assert!(fault(&said(&["1", "3", "2"])).starts_with("out of order"));
        assert!(fault(&said(&["1", "2", "3", "4"])).starts_with("never written"));
        let mut forged = said(&["1", "2", "3"]);
        forged[1].author = "bob@s2".into();
        assert!(fault(&forged).starts_with("missing"));
    }
}

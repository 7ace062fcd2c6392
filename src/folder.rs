//! What to do about a data folder that can't be used.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::ErrorCode;

/// An error in words, with what to do about it where the folder is to blame.
pub fn explain(error: &(dyn Error + 'static), folder: &Path) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    let folder = folder.display();
    let advice = causes.filter_map(advice).next();
    match advice {
        Some(advice) => format!("{error} The data folder is {folder}: {advice}."),
        None => error.to_string(),
    }
}

fn advice(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    const READ_ONLY: &str = "it can't be written, so set data-dir to a folder that can";
    const FULL: &str = "its disk is full, so make room there";
    const DENIED: &str = "this user may not use it, so give it to this user or set another data-dir";
    const NO_FOLDER: &str = "it is no folder, so set data-dir to one";
    const OTHER: &str = "see that it can be read and written, or set another data-dir";
    const DAMAGED: &str = "a file in it is damaged, so put back a copy of it, and delete nothing";
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        return Some(match error.kind() {
            ErrorKind::ReadOnlyFilesystem => READ_ONLY,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FULL,
            ErrorKind::PermissionDenied => DENIED,
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => NO_FOLDER,
            _ => OTHER,
        });
    }
    let error = cause.downcast_ref::<rusqlite::Error>()?;
    Some(match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) => READ_ONLY,
        Some(ErrorCode::DiskFull) => FULL,
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => DENIED,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DAMAGED,
        _ => OTHER,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn the_cause_decides_what_to_do() {
        let io = |kind: ErrorKind| StoreError::Io {
            path: "/data/x".into(),
            source: kind.into(),
        };
        let folder = Path::new("/data");
        let said = explain(&io(ErrorKind::ReadOnlyFilesystem), folder);
        assert!(
            said.contains("The data folder is /data: it can't be written"),
            "{said}"
        );
        let said = explain(&io(ErrorKind::StorageFull), folder);
        assert!(said.contains("make room"), "{said}");
        let elsewhere = std::fmt::Error;
        assert_eq!(explain(&elsewhere, folder), elsewhere.to_string());
    }
}

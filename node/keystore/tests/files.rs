//! Key files on disk: round trip, permissions, overwriting, damage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stemma_keystore::{
    DecodeError, KEY_FILE_BYTES_MAX, Passphrase, Purpose, ReadError, ScryptCost, SecretKey, Unlock, WriteError,
    decode_pem, encode_encrypted_pem, encode_plain_pem, generate, read_key_file, read_public, write_key_file,
    write_plain_key_file,
};

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery staple").unwrap()
}

fn written(folder: &Path, purpose: Purpose) -> (PathBuf, SecretKey) {
    let path = folder.join("keys").join("key.pem");
    let key = generate(purpose).unwrap();
    write_key_file(&path, &key, &passphrase(), ScryptCost::Trial, false).unwrap();
    (path, key)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn decode_error(error: ReadError) -> DecodeError {
    match error {
        ReadError::Decode { source, .. } => source,
        other => unreachable!("{other}"),
    }
}

#[test]
fn round_trip_for_each_purpose_and_cost() {
    for purpose in Purpose::ALL {
        for cost in [ScryptCost::Standard, ScryptCost::Trial] {
            let key = generate(purpose).unwrap();
            let text = encode_encrypted_pem(&key, &passphrase(), cost).unwrap();
            let read = decode_pem(&text, &passphrase(), purpose).unwrap();
            assert_eq!(read.signing_key().to_bytes(), key.signing_key().to_bytes());
            assert_eq!(read.purpose(), purpose);
        }
    }
}

#[test]
fn file_and_folder_are_closed_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = written(folder.path(), Purpose::Validator);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing temporary is left");
    let read = read_key_file(&path, &passphrase(), Purpose::Validator).unwrap();
    assert_eq!(read.public_key(), key.public_key());
}

#[test]
fn a_file_open_to_others_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), Purpose::Member);
    for open in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
        let error = read_key_file(&path, &passphrase(), Purpose::Member).unwrap_err();
        assert!(matches!(error, ReadError::OpenToOthers { mode, .. } if mode == open));
        let text = error.to_string();
        assert!(text.contains(&format!("{open:04o}")) && text.contains("chmod 600"), "{text}");
        assert_eq!(read_public(&path).unwrap().mode, open);
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    read_key_file(&path, &passphrase(), Purpose::Member).unwrap();
}

#[test]
fn a_folder_in_which_everybody_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = written(folder.path(), Purpose::Member);
    let keys = path.parent().unwrap();
    for (open, is_refused) in [(0o777, true), (0o703, true), (0o1777, false), (0o755, false), (0o770, false)] {
        fs::set_permissions(keys, Permissions::from_mode(open)).unwrap();
        let read = read_key_file(&path, &passphrase(), Purpose::Member);
        assert_eq!(read.is_err(), is_refused, "{open:o}");
        assert!(!is_refused || matches!(read, Err(ReadError::FolderOpenToAll { mode, .. }) if mode == open));
        let made = write_plain_key_file(&keys.join("other.pem"), &key, true);
        assert_eq!(made.is_err(), is_refused, "{open:o}");
        assert!(!is_refused || matches!(made, Err(WriteError::FolderOpenToAll { .. })));
    }
}

#[test]
fn nothing_is_overwritten_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), Purpose::Account);
    let before = fs::read(&path).unwrap();
    let other = generate(Purpose::Account).unwrap();
    let refused = write_key_file(&path, &other, &passphrase(), ScryptCost::Trial, false);
    assert!(matches!(refused, Err(WriteError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);

    write_key_file(&path, &other, &passphrase(), ScryptCost::Trial, true).unwrap();
    let read = read_key_file(&path, &passphrase(), Purpose::Account).unwrap();
    assert_eq!(read.public_key(), other.public_key());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_dangling_link_counts_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
    let key = generate(Purpose::Account).unwrap();
    let refused = write_plain_key_file(&link, &key, false);
    assert!(matches!(refused, Err(WriteError::Exists { .. })));
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A folder in the place of the file: the rename fails, after everything was written.
    let path = folder.path().join("key.pem");
    fs::create_dir(&path).unwrap();
    let key = generate(Purpose::Account).unwrap();
    let failed = write_key_file(&path, &key, &passphrase(), ScryptCost::Trial, true);
    assert!(matches!(failed, Err(WriteError::Write { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn each_mistake_has_its_own_error() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = written(folder.path(), Purpose::Validator);
    let read = |unlock, purpose| decode_error(read_key_file(&path, unlock, purpose).unwrap_err());

    let wrong = Passphrase::new("wrong").unwrap();
    let error = read(Unlock::Passphrase(&wrong), Purpose::Validator);
    assert!(matches!(error, DecodeError::WrongPassphrase));
    let right = passphrase();
    let error = read(Unlock::Passphrase(&right), Purpose::Member);
    assert!(matches!(error, DecodeError::WrongPurpose { expected: Purpose::Member, found: Purpose::Validator }));
    let error = read(Unlock::AllowPlain, Purpose::Validator);
    assert!(matches!(error, DecodeError::PassphraseNeeded));

    write_plain_key_file(&path, &key, true).unwrap();
    let error = decode_error(read_key_file(&path, &right, Purpose::Validator).unwrap_err());
    assert!(matches!(error, DecodeError::NotEncrypted));
    read_key_file(&path, Unlock::AllowPlain, Purpose::Validator).unwrap();

    let absent = read_key_file(&folder.path().join("absent"), &right, Purpose::Member);
    assert!(matches!(absent, Err(ReadError::Read { .. })));
    let not_a_file = read_key_file(folder.path(), &right, Purpose::Member);
    assert!(matches!(not_a_file, Err(ReadError::NotAFile { .. })));
}

#[test]
fn size_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path(), Purpose::Member);
    let text = fs::read(&path).unwrap();
    for (excess, is_read) in [(0, true), (1, false)] {
        // Explanatory text before the key is allowed, up to the limit of the whole.
        let length = usize::try_from(KEY_FILE_BYTES_MAX).unwrap() - text.len() + excess;
        let mut padded = vec![b'x'; length - 1];
        padded.push(b'\n');
        padded.extend_from_slice(&text);
        fs::write(&path, padded).unwrap();
        let result = read_key_file(&path, &passphrase(), Purpose::Member);
        assert_eq!(result.is_ok(), is_read);
        assert!(is_read || matches!(result, Err(ReadError::TooLarge { .. })));
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    let binary = read_key_file(&path, &passphrase(), Purpose::Member);
    assert!(matches!(binary, Err(ReadError::NotText { .. })));
}

#[test]
fn the_public_part_needs_no_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = written(folder.path(), Purpose::Network);
    let public = read_public(&path).unwrap();
    assert_eq!(public.purpose, Some(Purpose::Network));
    assert_eq!(public.public_key, Some(key.public_key()));
    assert!(public.is_encrypted);
    assert_eq!(public.mode, 0o600);
}

#[test]
fn the_seed_is_not_in_an_encrypted_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = written(folder.path(), Purpose::Account);
    let seed = key.signing_key().to_bytes();
    let bytes = fs::read(&path).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let (_, document) = pkcs8::SecretDocument::from_pem(&text[text.find("-----").unwrap()..]).unwrap();
    let contains = |haystack: &[u8]| haystack.windows(8).any(|part| seed.windows(8).any(|s| s == part));
    assert!(!contains(&bytes) && !contains(document.as_bytes()));
    assert!(!text.contains(&hex::encode(seed)));
    // The search does find it in a plain file.
    let plain = encode_plain_pem(&key).unwrap();
    let (_, document) = pkcs8::SecretDocument::from_pem(&plain[plain.find("-----").unwrap()..]).unwrap();
    assert!(contains(document.as_bytes()));
}

#[test]
fn a_changed_file_never_yields_another_key() {
    let key = generate(Purpose::Account).unwrap();
    let text = encode_encrypted_pem(&key, &passphrase(), ScryptCost::Trial).unwrap();
    for position in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // A changed label of the public key line takes that comparison away, and nothing else.
        if let Ok(read) = decode_pem(&changed, &passphrase(), Purpose::Account) {
            assert_eq!(read.public_key(), key.public_key(), "position {position}");
            let line = changed.lines().nth(1).unwrap();
            assert!(!line.starts_with("Public-Key:"), "position {position}");
        }
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let key = generate(Purpose::Account).unwrap();
    let text = encode_encrypted_pem(&key, &passphrase(), ScryptCost::Trial).unwrap();
    for length in 0..text.len() - 1 {
        assert!(decode_pem(&text[..length], &passphrase(), Purpose::Account).is_err(), "{length}");
    }
}

//! What the command writes: files that are whole or not there (written under another name beside their own, renamed when complete),
//! and the standard output, which may be full or have lost its reader.
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::Refused;

/// The files in the making, each by its own path, with where it is written, for [`discard_all`].
static PENDING: Mutex<Vec<(PathBuf, PathBuf)>> = Mutex::new(vec![]);

fn pending() -> std::sync::MutexGuard<'static, Vec<(PathBuf, PathBuf)>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every file that is not whole: for a run that is broken off.
pub fn discard_all() {
    for (path, part) in pending().drain(..) {
        if path != part {
            let _ = fs::remove_file(part);
        }
    }
}

/// Nobody reads what is printed any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether the reader of the standard output is gone, as after `| head -1`.
pub fn closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Prints on the standard output; [`crate::say!`] adds the line's end. A reader that is gone is no error, see [`closed`].
///
/// # Errors
/// When it cannot be written, a full disk say.
pub fn print(text: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
            CLOSED.store(true, Ordering::Relaxed);
            Ok(())
        }
        other => other.context("cannot write to the standard output"),
    }
}

/// `println!` that gives its error back instead of a panic.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// A file in the making. Dropped before [`Output::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    part: PathBuf,
    /// As it was asked for.
    name: PathBuf,
}

impl Output {
    /// Makes sure, before a long run, that `path` can be written.
    ///
    /// # Errors
    /// Exit code 2; names the file, the reason and the remedy.
    pub fn new(path: &Path) -> Result<Self> {
        Self::begin(path, false)
    }

    /// As [`Output::new`], for a file that is of use while it grows and whole at any time: it is written in its place and stays.
    ///
    /// # Errors
    /// As [`Output::new`].
    pub fn live(path: &Path) -> Result<Self> {
        Self::begin(path, true)
    }

    fn begin(path: &Path, live: bool) -> Result<Self> {
        let shown = path;
        let refused = |why: String| {
            Refused(format!(
                "cannot write {}: {why}; choose another path",
                path.display()
            ))
        };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        if !folder.exists() {
            let why = format!(
                "there is no folder {0} (`mkdir -p {0}` makes it)",
                folder.display()
            );
            return Err(refused(why).into());
        }
        let name = match path.file_name() {
            Some(name) if !path.is_dir() => name,
            _ => return Err(refused("it is a folder".into()).into()),
        };
        // A file that is there and may not be written must not be replaced either; a device such as /dev/null is written as it is.
        let special = match fs::metadata(path) {
            Ok(there) => {
                File::options()
                    .write(true)
                    .open(path)
                    .map_err(|e| refused(e.to_string()))?;
                !there.is_file()
            }
            Err(_) => false,
        };
        let mut part_name = std::ffi::OsString::from(".");
        part_name.push(name);
        part_name.push(format!(".{}.part", std::process::id()));
        let path = match folder.canonicalize() {
            Ok(folder) => folder.join(name),
            Err(_) => path.to_path_buf(),
        };
        let mut pending = pending();
        if !special && pending.iter().any(|(other, _)| *other == path) {
            return Err(refused("another option names the same file".into()).into());
        }
        let part = if special || live {
            path.clone()
        } else {
            folder.join(part_name)
        };
        if !special {
            File::create(&part).map_err(|e| refused(e.to_string()))?;
            pending.push((path.clone(), part.clone()));
        }
        let name = shown.to_path_buf();
        Ok(Self { path, part, name })
    }

    /// Where to write.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// The file, from its start.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn writer(&self) -> Result<BufWriter<File>> {
        let file = File::create(&self.part);
        Ok(BufWriter::new(file.with_context(|| self.wrong())?))
    }

    /// Gives the file its name, with these bytes.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let mut file = self.writer()?;
        file.write_all(bytes.as_ref())
            .and_then(|()| file.flush())
            .with_context(|| self.wrong())?;
        self.commit()
    }

    /// Gives the file its name: it is whole.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn commit(self) -> Result<()> {
        if self.part != self.path {
            fs::rename(&self.part, &self.path).with_context(|| self.wrong())?;
        }
        Ok(())
    }

    /// For an error in writing it.
    pub fn wrong(&self) -> String {
        format!("cannot write {}", self.name.display())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut pending = pending();
        if let Some(at) = pending.iter().position(|(path, _)| *path == self.path) {
            let (path, part) = pending.swap_remove(at);
            if path != part {
                let _ = fs::remove_file(part); // gone already if it was renamed
            }
        }
    }
}

/// Writes one whole file.
///
/// # Errors
/// As [`Output::new`] and [`Output::write`].
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    Output::new(path)?.write(bytes)
}

/// Makes sure, before a long run, that files can be made in `dir`; makes it where it is missing.
///
/// # Errors
/// Exit code 2; names the folder and the remedy.
pub fn folder(dir: &Path) -> Result<()> {
    let probe = dir.join(format!(".toe-{}.part", std::process::id()));
    let tried = |dir: &Path| -> io::Result<()> {
        fs::create_dir_all(dir)?;
        File::create(&probe)?;
        fs::remove_file(&probe)
    };
    tried(dir).map_err(|e| {
        Refused(format!(
            "cannot write into {}: {e}; choose another folder with --out",
            dir.display()
        ))
        .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir)
            .expect("a folder")
            .map(|e| {
                e.expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect()
    }

    #[test]
    fn a_file_is_whole_or_as_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.json");
        let output = Output::new(&path).expect("writable");
        output
            .writer()
            .expect("open")
            .write_all(b"half")
            .expect("written");
        assert!(!path.exists());
        drop(output);
        assert_eq!(names(dir.path()), [""; 0]);
        write(&path, b"whole").expect("written");
        let second = Output::new(&path).expect("writable");
        second
            .writer()
            .expect("open")
            .write_all(b"ha")
            .expect("written");
        drop(second);
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert_eq!(names(dir.path()), ["x.json"]);
    }

    #[test]
    fn what_cannot_be_written_is_known_before_with_its_remedy() {
        let dir = tempfile::tempdir().expect("a folder");
        let missing = Output::new(&dir.path().join("no/x.json")).unwrap_err();
        assert!(missing.to_string().contains("mkdir"), "{missing}");
        assert!(missing.is::<Refused>());
        let itself = Output::new(dir.path()).unwrap_err();
        assert!(itself.to_string().contains("folder"), "{itself}");
        write(Path::new("/dev/null"), b"gone").expect("a device is written");
        assert!(fs::metadata("/dev/null").is_ok_and(|m| !m.is_file()));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused() {
        let e = folder(Path::new("/proc/no/such/folder")).unwrap_err();
        assert!(e.to_string().contains("--out"), "{e}");
        assert!(e.is::<Refused>());
    }

    #[test]
    fn one_file_is_not_written_twice() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x");
        let first = Output::new(&path).expect("writable");
        // The same by another way.
        let again = dir.path().join(".").join("x");
        for second in [Output::new(&again), Output::live(&again)] {
            let e = second.unwrap_err();
            assert!(
                e.is::<Refused>() && e.to_string().contains("same file"),
                "{e}"
            );
        }
        first.write(b"1").expect("written");
        assert!(Output::new(&path).is_ok());
    }

    #[test]
    fn a_live_file_is_in_its_place_at_once_and_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.pcap");
        let live = Output::live(&path).expect("writable");
        let mut file = live.writer().expect("open");
        file.write_all(b"half")
            .and_then(|()| file.flush())
            .expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"half");
        drop(live);
        assert_eq!(names(dir.path()), ["x.pcap"]);
    }
}

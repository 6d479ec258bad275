//! A network namespace of one's own, without root: a user namespace in which the process is root, and a network namespace
//! that belongs to it, with nothing in it but a loopback device.
//!
//! A process can enter a user namespace only while it has one thread, and a test has several. So [`in_namespace`] runs the
//! test again in a child process that enters between `fork` and `exec`.

use std::ffi::CStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::tap;

/// Set in the child: the test it is to run, and the file that says it ran.
const TEST: &str = "TOE_NETNS_TEST";
const MARK: &str = "TOE_NETNS_MARK";

/// What became of a body that wanted a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran.
    Ran,
    /// The system forbids namespaces or TAP devices, for this reason; "SKIPPED" was printed.
    Skipped(String),
}

/// Has the command run in a user and network namespace of its own, as its root. If the system forbids it, `spawn` fails.
pub fn confine(command: &mut Command) -> &mut Command {
    // SAFETY: no pointers are passed; the two calls can't fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // Made before the fork: afterwards nothing may allocate.
    let users = format!("0 {user} 1");
    let groups = format!("0 {group} 1");
    // SAFETY: between fork and exec the closure only makes system calls on memory that was made before (`unshare`, `open`,
    // `write`, `close`), all async-signal-safe, and allocates nothing (an `io::Error` of an OS error holds a number).
    unsafe {
        command.pre_exec(move || {
            if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) == -1 {
                return Err(io::Error::last_os_error());
            }
            // A group map may be written only when setgroups is given up (user_namespaces(7)).
            write_file(c"/proc/self/setgroups", b"deny")?;
            write_file(c"/proc/self/uid_map", users.as_bytes())?;
            write_file(c"/proc/self/gid_map", groups.as_bytes())
        })
    }
}

fn write_file(path: &CStr, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the path ends with 0, the buffer is as long as is said, and the descriptor is the one just opened.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let error = io::Error::last_os_error();
        libc::close(fd);
        if written == bytes.len() as isize {
            Ok(())
        } else {
            Err(error)
        }
    }
}

/// Puts the calling thread, and those that it starts from here on, into a network namespace of their own: so one process holds several ends of a network that know nothing of
/// each other. Needs the rights of root, or of a [`confine`]d process.
///
/// # Errors
/// When the system forbids it.
pub fn enter_own() -> io::Result<()> {
    // SAFETY: no pointers are passed, and of the process nothing but this thread's network namespace is changed.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether a thread may have a network namespace and a TAP device of its own.
///
/// # Errors
/// Why not.
pub fn may_enter() -> Result<(), String> {
    let thread = std::thread::spawn(|| {
        enter_own().map_err(|error| error.to_string())?;
        probe()
    });
    match thread.join() {
        Ok(outcome) => outcome,
        Err(_) => Err("the trial broke off".into()),
    }
}

/// Set in a process that [`again`] has started.
const CONFINED: &str = "TOE_NETNS_CONFINED";

/// Runs this very command again, as root of a namespace of its own, and gives its exit code; or gives nothing, where this is that run already.
///
/// # Errors
/// When the system forbids it.
pub fn again() -> io::Result<Option<i32>> {
    if std::env::var_os(CONFINED).is_some() {
        return Ok(None);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(CONFINED, "1");
    let status = confine(&mut command).status()?;
    Ok(Some(status.code().unwrap_or(1)))
}

/// Whether a TAP device can be made here, in the child.
fn probe() -> Result<(), String> {
    tap::set_up("lo").map_err(|error| error.to_string())?;
    let device = tap::TapLink::open("probe0", crate::link::Medium::Ethernet);
    device.map(drop).map_err(|error| error.to_string())
}

/// Runs the body of a test in a namespace of its own. `test` is the test's name as `cargo test` prints it, such as
/// `tap::tests::the_kernel_pings_smoltcp`: the test binary is run again with that name, and there this function runs the
/// body. Where the system forbids namespaces or TAP devices it prints SKIPPED and the reason.
///
/// # Panics
/// If the body panics, or if no test has that name.
pub fn in_namespace(test: &str, body: impl FnOnce()) -> Outcome {
    if std::env::var(TEST).is_ok_and(|name| name == test) {
        let result = probe();
        let mark = std::env::var_os(MARK).expect("set by the parent together with the name");
        let reason = result.clone().err().unwrap_or_default();
        std::fs::write(mark, format!("ran {reason}")).expect("the parent's folder is there");
        return match result {
            Ok(()) => {
                body();
                Outcome::Ran
            }
            Err(reason) => Outcome::Skipped(reason),
        };
    }
    let skipped = |reason: String| {
        crate::skip::skipped(test, &reason);
        Outcome::Skipped(reason)
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mark = folder.path().join("mark");
    let binary = std::env::current_exe().expect("the test binary has a path");
    let mut command = Command::new(binary);
    command
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(TEST, test)
        .env(MARK, &mark)
        .stdin(Stdio::null());
    let output = match confine(&mut command).output() {
        Ok(output) => output,
        Err(error) => {
            return skipped(format!(
                "no user and network namespace: {error} (see `sysctl kernel.unprivileged_userns_clone user.max_user_namespaces`)"
            ))
        }
    };
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let said = std::fs::read_to_string(&mark).unwrap_or_default();
    assert!(
        said.starts_with("ran "),
        "the test binary has no test named '{test}'"
    );
    assert!(output.status.success(), "'{test}' failed in its namespace");
    match said.trim_start_matches("ran ") {
        "" => Outcome::Ran,
        reason => skipped(reason.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_holds_loopback_alone() {
        in_namespace("netns::tests::a_namespace_holds_loopback_alone", || {
            let devices = std::fs::read_to_string("/proc/net/dev").unwrap();
            let names: Vec<_> = (devices.lines().skip(2))
                .filter_map(|line| line.split(':').next())
                .map(str::trim)
                .collect();
            assert_eq!(names, ["lo"]);
            let listener = std::net::TcpListener::bind("127.0.0.1:80").unwrap();
            std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        });
    }

    /// Two threads with a listener on the same port each, of which neither reaches the other's.
    #[test]
    fn threads_have_networks_of_their_own() {
        let name = "netns::tests::threads_have_networks_of_their_own";
        in_namespace(name, || {
            may_enter().unwrap();
            let listens = std::sync::Barrier::new(2);
            let tried = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                let [one, two] = [80, 81].map(|port| {
                    let (listens, tried) = (&listens, &tried);
                    scope.spawn(move || {
                        enter_own().unwrap();
                        tap::set_up("lo").unwrap();
                        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
                        listens.wait();
                        let reached = [80, 81]
                            .map(|port| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
                        tried.wait();
                        drop(listener);
                        reached
                    })
                });
                assert_eq!(one.join().unwrap(), [true, false]);
                assert_eq!(two.join().unwrap(), [false, true]);
            });
        });
    }

    #[test]
    #[should_panic(expected = "failed in its namespace")]
    fn a_failing_body_fails_the_test() {
        let name = "netns::tests::a_failing_body_fails_the_test";
        let outcome = in_namespace(name, || panic!("on purpose"));
        // Where namespaces are forbidden there is nothing to prove.
        panic!("{outcome:?}: failed in its namespace");
    }

    #[test]
    #[should_panic(expected = "no test named")]
    fn a_wrong_name_is_no_success() {
        let outcome = in_namespace("netns::tests::not_there", || {});
        panic!("{outcome:?}: no test named");
    }
}

//! Two ends in one process that keep real time: the Linux kernel's TCP sockets, set before they are connected, and what carries frames between two links as the clock on the wall goes.

use std::io;
use std::mem::size_of;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time;

use crate::link::{Frame, Instant, Link};
use crate::tap;

/// What a socket of the kernel is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Bytes of its send buffer (SO_SNDBUF; the kernel doubles it, for its own bookkeeping lies in the same memory).
    pub send_buffer: usize,
    /// The widest window that it offers (SO_RCVBUF, which the kernel doubles too, and TCP_WINDOW_CLAMP, see [`hold`]).
    pub window: usize,
    /// Its congestion control (TCP_CONGESTION).
    pub congestion: String,
}

/// The kernel's congestion controls.
///
/// # Errors
/// When the kernel does not tell.
pub fn congestion_controls() -> io::Result<Vec<String>> {
    let names = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control")?;
    Ok(names.split_whitespace().map(String::from).collect())
}

/// A switch of the kernel's TCP, as its file has it; a dash where there is none.
pub fn sysctl(name: &str) -> String {
    let value = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
    value.map_or_else(|_| "–".into(), |v| v.trim().into())
}

/// Name and release of the kernel.
pub fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // The first three numbers; what comes behind is the build's.
    let short = release.trim().split('-').next().unwrap_or_default();
    format!("Linux {short}")
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn set(socket: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer is to a `c_int`, as long as is said, valid for the call.
    check(unsafe {
        libc::setsockopt(
            socket,
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
}

fn socket(setting: &Setting) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: the call above has just opened it, and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let (send, window) = (setting.send_buffer as i32, setting.window as i32);
    set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, send)?;
    // With less, the kernel's own bookkeeping shuts the window behind a single segment.
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, window.max(4096))?;
    set(fd, libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP, window)?;
    let name = setting.congestion.as_bytes();
    // SAFETY: the pointer is to as many bytes as is said, valid for the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    })?;
    Ok(socket)
}

/// Holds a connection to its window again: to be called after each read. When a segment is longer than all before it, the kernel reckons anew what part of its buffer can be payload,
/// and with that takes back the limit (`tcp_measure_rcv_mss`, Linux 6.6 and later).
///
/// # Errors
/// What the kernel says.
pub fn hold(stream: &TcpStream, setting: &Setting) -> io::Result<()> {
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP);
    set(stream.as_raw_fd(), level, name, setting.window as i32)
}

fn address(at: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: `sockaddr_in` is integers and arrays of them: all zero is a value of it.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = at.port().to_be();
    address.sin_addr.s_addr = u32::from(*at.ip()).to_be();
    address
}

const ADDRESS: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

/// Connects, from this thread's network namespace.
///
/// # Errors
/// What the kernel says.
pub fn connect(to: SocketAddrV4, setting: &Setting) -> io::Result<TcpStream> {
    let socket = socket(setting)?;
    let to = address(to);
    // SAFETY: the pointer is to a `sockaddr_in`, as long as is said, valid for the call.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const to).cast(), ADDRESS) })?;
    Ok(socket.into())
}

/// Listens, in this thread's network namespace. What is accepted has the same setting.
///
/// # Errors
/// What the kernel says.
pub fn listen(at: SocketAddrV4, setting: &Setting) -> io::Result<TcpListener> {
    let socket = socket(setting)?;
    let at = address(at);
    // SAFETY: as for `connect`.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const at).cast(), ADDRESS) })?;
    // SAFETY: no pointers are passed.
    check(unsafe { libc::listen(socket.as_raw_fd(), 64) })?;
    Ok(socket.into())
}

/// [`crate::link::join`] in real time: each link gets what the other hands out, until `stop`, which is asked every ten milliseconds at least. `devices` are those that wake
/// it when they have a frame ([`tap::TapLink::awaited`]); all else is waited for by [`Link::idle_until`].
///
/// # Errors
/// When the kernel refuses to wait.
pub fn join<A: Link, B: Link>(
    a: &mut A,
    b: &mut B,
    devices: &[RawFd],
    mut stop: impl FnMut(&mut A, &mut B) -> bool,
) -> io::Result<()> {
    const LONGEST: u64 = 10_000;
    let start = time::Instant::now();
    loop {
        let now = Instant::from_micros(start.elapsed().as_micros() as i64);
        let mut moved = false;
        while let Some(frame) = a.receive(now) {
            moved = true;
            if frame.is_sound(a.medium()) {
                b.send(Frame::new(frame.bytes), now);
            }
        }
        while let Some(frame) = b.receive(now) {
            moved = true;
            if frame.is_sound(b.medium()) {
                a.send(Frame::new(frame.bytes), now);
            }
        }
        if stop(a, b) {
            return Ok(());
        }
        if moved {
            continue;
        }
        let next = [a.idle_until(now), b.idle_until(now)];
        let until = next.into_iter().flatten().min();
        let now = start.elapsed().as_micros() as u64;
        let micros = until.map_or(LONGEST, |at| {
            (at.total_micros().max(0) as u64).saturating_sub(now)
        });
        let pause = time::Duration::from_micros(micros.min(LONGEST));
        tap::wait_any(devices, pause)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Duration, Medium};
    use crate::netns::{enter_own, in_namespace};
    use crate::path::{Line, Path, Place};
    use crate::tap::TapLink;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, Shutdown};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    const NEAR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
    const FAR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

    fn device(ip: Ipv4Addr) -> TapLink {
        enter_own().unwrap();
        let device = TapLink::open("toe0", Medium::Ip).unwrap().awaited();
        device.without_ipv6().unwrap();
        device.set_mtu(1500).unwrap();
        device.configure(ip, 24, None).unwrap();
        device
    }

    /// The widest window that this end offers in a packet behind the first few, by the shift of its SYN.
    fn widest(packets: &[&[u8]], first: usize) -> usize {
        let mut shift = 0;
        let mut most = 0;
        for (n, p) in packets.iter().enumerate() {
            let tcp = &p[20..];
            let window = usize::from(u16::from_be_bytes([tcp[14], tcp[15]]));
            if n >= first && tcp[13] & 2 == 0 {
                most = most.max(window << shift);
            }
            let mut options = &tcp[20..4 * usize::from(tcp[12] >> 4)];
            while tcp[13] & 2 != 0 && !options.is_empty() {
                shift = if options[0] == 3 { options[2] } else { shift };
                let step = if options[0] <= 1 { 1 } else { options[1] };
                options = &options[step.into()..];
            }
        }
        most
    }

    /// Two kernels' ends in one process, a line of 10 ms between them: bytes cross it, in no less than its time, and the windows on it are those asked for.
    #[test]
    fn two_ends_of_the_kernel_reach_each_other_over_a_path() {
        let name = "kernel::tests::two_ends_of_the_kernel_reach_each_other_over_a_path";
        in_namespace(name, || {
            let setting = Setting {
                send_buffer: 8192,
                window: 8192,
                congestion: "reno".into(),
            };
            let line = Line {
                rate: 100_000_000,
                delay: Duration::from_millis(10),
                ..Line::default()
            };
            let data: Vec<u8> = (0..100_000u32).map(|n| (n / 7) as u8).collect();
            let over = AtomicBool::new(false);
            let (devices, come) = channel();
            std::thread::scope(|scope| {
                let (up, is_up) = channel();
                let near = devices.clone();
                let server = scope.spawn({
                    let setting = setting.clone();
                    move || {
                        near.send((true, device(NEAR))).unwrap();
                        let listener = listen(SocketAddrV4::new(NEAR, 9), &setting).unwrap();
                        up.send(()).unwrap();
                        let mut came: Vec<u8> = vec![];
                        let mut stream = listener.accept().unwrap().0;
                        let mut buffer = [0; 4096];
                        while let Ok(count @ 1..) = stream.read(&mut buffer) {
                            hold(&stream, &setting).unwrap();
                            came.extend(&buffer[..count]);
                        }
                        came
                    }
                });
                let client = scope.spawn({
                    let (setting, data) = (&setting, &data);
                    move || {
                        devices.send((false, device(FAR))).unwrap();
                        is_up.recv().unwrap();
                        let begin = time::Instant::now();
                        let mut stream = connect(SocketAddrV4::new(NEAR, 9), setting).unwrap();
                        stream.write_all(data).unwrap();
                        stream.shutdown(Shutdown::Write).unwrap();
                        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
                        begin.elapsed()
                    }
                });
                let (one, two) = (come.recv().unwrap(), come.recv().unwrap());
                let over = &over;
                let carrier = scope.spawn(move || {
                    let (mut near, far) = if one.0 {
                        (one.1, two.1)
                    } else {
                        (two.1, one.1)
                    };
                    let fds = [near.as_raw_fd(), far.as_raw_fd()];
                    let mut path = Path::new(far, 1, line).keeping();
                    let stop = |_: &mut _, _: &mut _| over.load(Ordering::Relaxed);
                    join(&mut near, &mut path, &fds, stop).unwrap();
                    path
                });
                let took = client.join();
                over.store(true, Ordering::Relaxed);
                let path = carrier.join().unwrap();
                let took = took.unwrap();
                assert_eq!(server.join().unwrap(), data);
                // The handshake, and a window of 8 KiB in each round trip.
                assert!(
                    took >= time::Duration::from_millis(20 + 10 * 20),
                    "{took:?}"
                );
                for place in [Place::NearSent, Place::FarSent] {
                    let of = path.seen().iter().filter(|s| s.place == place);
                    let packets: Vec<_> = of.map(|s| &s.bytes[..]).collect();
                    // As it is held after the first of the data has been read.
                    let most = widest(&packets, 6);
                    println!("{place:?}: {} packets, window {most}", packets.len());
                    assert!((6_000..=8_192).contains(&most), "{place:?}: {most}");
                    // And never much wider: the first segments' payload may fill more than half of the buffer.
                    let ever = widest(&packets, 0);
                    assert!(ever <= 8_192 * 3 / 2, "{place:?}: {ever}");
                }
            });
        });
    }

    #[test]
    fn an_unknown_congestion_control_is_refused() {
        assert!(congestion_controls().unwrap().contains(&"reno".into()));
        let setting = Setting {
            send_buffer: 8192,
            window: 8192,
            congestion: "none such".into(),
        };
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        assert!(listen(at, &setting).is_err());
    }
}

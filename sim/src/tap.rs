//! The Linux kernel as the peer: frames through a TAP (Ethernet) or TUN (IP packets) device.
//!
//! Needs `/dev/net/tun` and the right to make devices in the network namespace it is opened in: root has it, and so has
//! everyone in a namespace of their own ([`crate::netns`]). No program is called; addresses are set by ioctl.
//!
//! The kernel's timers are real, so a board tied to it must run on real time ([`crate::world::Clock::real`] and
//! [`crate::time::RealTime`]): then a board that simulates slowly is to the kernel just a slow host. The kernel keeps 500
//! frames for the device when the board is behind, and drops the rest, as on any network.

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use thiserror::Error;

use crate::link::{Duration, Frame, Instant, Link, Medium};

/// Longest name of a network device: IFNAMSIZ with its closing 0.
pub const MAX_NAME: usize = libc::IFNAMSIZ - 1;

/// Why a TAP device can't be had. Each says what to do.
#[derive(Debug, Error)]
pub enum TapError {
    /// The name is empty, too long, or has a character the kernel refuses.
    #[error("'{name}' can't name a network device: 1 to {MAX_NAME} bytes without '/', ':' and blanks; choose another, say tap0")]
    Name {
        /// The name.
        name: String,
    },
    /// The kernel has no TUN/TAP driver, or a container hides it.
    #[error("/dev/net/tun is missing: load the driver (`modprobe tun`), or give the container the device (`--device /dev/net/tun`)")]
    NoDriver,
    /// The device file may not be opened.
    #[error("/dev/net/tun may not be opened: run as root, or have it opened to you (`sudo chmod 666 /dev/net/tun`; devices are still made by those with the right alone)")]
    Locked,
    /// Another process has the device.
    #[error("the device '{name}' is busy: another process has it open; end that one or choose another name")]
    Busy {
        /// The name.
        name: String,
    },
    /// The name is that of a device which is no TAP device, or one of another kind.
    #[error("'{name}' is another kind of network device than {kind}, which this needs; choose another name, say toe0")]
    Kind {
        /// The name.
        name: String,
        /// What it must be.
        kind: &'static str,
    },
    /// No right to make or set the device.
    #[error("not permitted to {step}: run as root, or run in a namespace of your own (`unshare --user --map-root-user --net`), or have the device made for you (`sudo ip tuntap add {name} mode tap user $USER; sudo ip addr add {address} dev {name}; sudo ip link set {name} up`)")]
    Permission {
        /// What was tried.
        step: &'static str,
        /// The name.
        name: String,
        /// The address and prefix length that the kernel's end must have.
        address: String,
    },
    /// Anything else.
    #[error("can't {step} for '{name}': {source}")]
    Other {
        /// What was tried.
        step: &'static str,
        /// The name.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl TapError {
    /// Puts the address that the kernel's end must have into the remedy.
    pub fn for_address(mut self, ip: Ipv4Addr, prefix: u8) -> Self {
        if let Self::Permission { address, .. } = &mut self {
            *address = format!("{ip}/{prefix}");
        }
        self
    }
}

fn explain(name: &str, step: &'static str, source: io::Error) -> TapError {
    let name = name.to_string();
    match source.raw_os_error() {
        Some(libc::EBUSY) => TapError::Busy { name },
        Some(libc::EPERM | libc::EACCES) => TapError::Permission {
            step,
            name,
            address: "ADDRESS/LENGTH".into(),
        },
        _ => TapError::Other { step, name, source },
    }
}

/// An empty request for the device of this name.
fn request(name: &str) -> Result<libc::ifreq, TapError> {
    let bad = |byte: u8| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace();
    let taken = [".", ".."].contains(&name); // by the folders of /sys
    if name.is_empty()
        || taken
        || name.len() > MAX_NAME
        || name.bytes().any(bad)
        || name.contains('%')
    {
        return Err(TapError::Name { name: name.into() });
    }
    // SAFETY: `ifreq` is a C structure of integers, arrays and one pointer in a union: all zero is a value of each.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// An ioctl whose argument is an `ifreq`.
fn ioctl(fd: RawFd, number: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: every number passed in this module (TUNSETIFF, SIOC[GS]IF*) takes a pointer to an `ifreq`, reads and
    // writes no more than that, and keeps no pointer; the reference is valid and exclusive for the call.
    match unsafe { libc::ioctl(fd, number, request as *mut libc::ifreq) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A socket that only carries ioctls.
fn control_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has just opened it, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn address(ip: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: `sockaddr` is integers and an array: all zero is a value of it.
    let mut address: libc::sockaddr = unsafe { std::mem::zeroed() };
    address.sa_family = libc::AF_INET as libc::sa_family_t;
    // sockaddr_in: two bytes of port, then the address in network order.
    for (to, from) in address.sa_data[2..6].iter_mut().zip(ip.octets()) {
        *to = from as libc::c_char;
    }
    address
}

fn netmask(prefix: u8) -> Ipv4Addr {
    let low = 32 - u32::from(prefix.min(32));
    Ipv4Addr::from(u32::MAX.checked_shl(low).unwrap_or(0))
}

/// Sets a device up (`ip link set NAME up`) in the present network namespace.
pub fn set_up(name: &str) -> Result<(), TapError> {
    let socket = control_socket().map_err(|error| explain(name, "open a socket", error))?;
    let mut ifr = request(name)?;
    ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut ifr)
        .map_err(|error| explain(name, "read the flags", error))?;
    // SAFETY: SIOCGIFFLAGS has filled this member of the union.
    let flags = unsafe { ifr.ifr_ifru.ifru_flags };
    ifr.ifr_ifru.ifru_flags = flags | (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &mut ifr)
        .map_err(|error| explain(name, "set the device up", error))
}

/// A TAP or TUN device as a link: the kernel's network stack is the peer.
#[derive(Debug)]
pub struct TapLink {
    name: String,
    file: File,
    medium: Medium,
    buffer: Vec<u8>,
    poll_every: Duration,
    error: Option<io::Error>,
    dropped: u64,
}

impl TapLink {
    /// Makes the device, or opens it where it is there and free. It goes when the link is dropped, unless made to persist
    /// by whoever made it. It has no address yet and is down: see [`TapLink::configure`].
    pub fn open(name: &str, medium: Medium) -> Result<Self, TapError> {
        let mut ifr = request(name)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDriver,
                Some(libc::EPERM | libc::EACCES) => TapError::Locked,
                _ => explain(name, "open /dev/net/tun", error),
            })?;
        let kind = match medium {
            Medium::Ethernet => libc::IFF_TAP,
            _ => libc::IFF_TUN,
        };
        ifr.ifr_ifru.ifru_flags = (kind | libc::IFF_NO_PI) as libc::c_short;
        ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut ifr).map_err(|error| {
            match error.raw_os_error() {
                Some(libc::EINVAL) => TapError::Kind {
                    name: name.into(),
                    kind: match medium {
                        Medium::Ethernet => "a TAP device",
                        _ => "a TUN device",
                    },
                },
                _ => explain(name, "make the device", error),
            }
        })?;
        Ok(Self {
            name: name.into(),
            file,
            medium,
            buffer: vec![0; 65_536],
            poll_every: Duration::from_micros(50),
            error: None,
            dropped: 0,
        })
    }

    /// Gives the kernel's end an address and, on Ethernet, a MAC, and sets it up. What is so already is left alone: it needs no right.
    pub fn configure(
        &self,
        ip: Ipv4Addr,
        prefix: u8,
        mac: Option<[u8; 6]>,
    ) -> Result<(), TapError> {
        if mac.is_none() && self.is_configured(ip, prefix) {
            return Ok(());
        }
        (self.set_all(ip, prefix, mac)).map_err(|error| error.for_address(ip, prefix))
    }

    /// Whether the kernel's end has this address as its first one, and is up.
    fn is_configured(&self, ip: Ipv4Addr, prefix: u8) -> bool {
        let Ok(socket) = control_socket() else {
            return false;
        };
        let get = |number| {
            let mut ifr = request(&self.name).ok()?;
            ioctl(socket.as_raw_fd(), number, &mut ifr).ok()?;
            Some(ifr)
        };
        let read = |number| {
            // SAFETY: SIOCGIFADDR and SIOCGIFNETMASK fill this member of the union.
            let address = unsafe { get(number)?.ifr_ifru.ifru_addr };
            let mut octets = [0; 4];
            for (to, from) in octets.iter_mut().zip(&address.sa_data[2..6]) {
                *to = *from as u8;
            }
            Some(Ipv4Addr::from(octets))
        };
        // SAFETY: SIOCGIFFLAGS fills this member of the union.
        let flags = get(libc::SIOCGIFFLAGS).map_or(0, |ifr| unsafe { ifr.ifr_ifru.ifru_flags });
        read(libc::SIOCGIFADDR) == Some(ip)
            && read(libc::SIOCGIFNETMASK) == Some(netmask(prefix))
            && c_int::from(flags) & libc::IFF_UP != 0
    }

    fn set_all(&self, ip: Ipv4Addr, prefix: u8, mac: Option<[u8; 6]>) -> Result<(), TapError> {
        let name = &self.name;
        let socket = control_socket().map_err(|error| explain(name, "open a socket", error))?;
        let set = |step, number, fill: &dyn Fn(&mut libc::ifreq)| {
            let mut ifr = request(name)?;
            fill(&mut ifr);
            ioctl(socket.as_raw_fd(), number, &mut ifr).map_err(|error| explain(name, step, error))
        };
        if let (Some(mac), Medium::Ethernet) = (mac, self.medium) {
            set("set the MAC address", libc::SIOCSIFHWADDR, &|ifr| {
                let mut address = address(Ipv4Addr::UNSPECIFIED);
                address.sa_family = libc::ARPHRD_ETHER;
                for (to, from) in address.sa_data.iter_mut().zip(mac) {
                    *to = from as libc::c_char;
                }
                ifr.ifr_ifru.ifru_hwaddr = address;
            })?;
        }
        set("set the address", libc::SIOCSIFADDR, &|ifr| {
            ifr.ifr_ifru.ifru_addr = address(ip);
        })?;
        set("set the netmask", libc::SIOCSIFNETMASK, &|ifr| {
            ifr.ifr_ifru.ifru_netmask = address(netmask(prefix));
        })?;
        set_up(name)
    }

    /// Sets the longest IP packet the kernel sends (`ip link set NAME mtu N`).
    pub fn set_mtu(&self, mtu: u16) -> Result<(), TapError> {
        let name = &self.name;
        let socket = control_socket().map_err(|error| explain(name, "open a socket", error))?;
        let mut ifr = request(name)?;
        ifr.ifr_ifru.ifru_mtu = c_int::from(mtu);
        ioctl(socket.as_raw_fd(), libc::SIOCSIFMTU, &mut ifr)
            .map_err(|error| explain(name, "set the MTU", error))
    }

    /// Keeps the kernel from sending IPv6 on the device (router solicitations and the like). A kernel without
    /// IPv6 needs nothing.
    pub fn without_ipv6(&self) -> Result<(), TapError> {
        let path = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", self.name);
        match std::fs::write(path, "1") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(explain(&self.name, "switch IPv6 off", error))
            }
            _ => Ok(()),
        }
    }

    /// Is not to be asked for frames every 50 µs: whoever uses it waits for them ([`wait_any`]).
    pub fn awaited(mut self) -> Self {
        self.poll_every = Duration::from_secs(3_600);
        self
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Frames the kernel did not take: not sound, or the device is down.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The first error in reading or writing, other than "nothing there" and "the device is down".
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// The same in words.
    pub fn failure(&self) -> Option<String> {
        let error = self.error()?;
        Some(match error.raw_os_error() {
            Some(libc::EBADFD) => "it was removed".into(),
            _ => error.to_string(),
        })
    }

    /// Sleeps until the kernel has a frame or the time is over. Says whether there is one.
    pub fn wait(&self, timeout: std::time::Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd {
            fd: self.file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the pointer is to one `pollfd`, as the count says, valid and exclusive for the call.
        match unsafe { libc::poll(&mut poll, 1, millis) } {
            -1 => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::Interrupted => Ok(false),
                    _ => Err(error),
                }
            }
            count => Ok(count > 0),
        }
    }
}

impl AsRawFd for TapLink {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// Sleeps until one of these devices has a frame or the time is over, to the kernel's precision (some 50 µs).
///
/// # Errors
/// When the kernel refuses.
pub fn wait_any(devices: &[RawFd], timeout: std::time::Duration) -> io::Result<()> {
    let mut polls: Vec<_> = (devices.iter())
        .map(|&fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let time = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the pointer is to as many `pollfd`s as the count says, valid and exclusive for the call; the time is valid, and no signal mask is given.
    let count = unsafe {
        libc::ppoll(
            polls.as_mut_ptr(),
            polls.len() as libc::nfds_t,
            &time,
            std::ptr::null(),
        )
    };
    match count {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}

/// Whether an error of a non-blocking device only says that there is nothing to do now.
fn is_idle(error: &io::Error) -> bool {
    // EIO: the device is down.
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    ) || error.raw_os_error() == Some(libc::EIO)
}

impl Link for TapLink {
    fn receive(&mut self, _now: Instant) -> Option<Frame> {
        match self.file.read(&mut self.buffer) {
            Ok(count) => Some(Frame::new(&self.buffer[..count])),
            Err(error) => {
                if !is_idle(&error) {
                    self.error.get_or_insert(error);
                }
                None
            }
        }
    }

    fn send(&mut self, frame: Frame, _now: Instant) {
        if !frame.is_sound(self.medium) {
            self.dropped += 1;
            return;
        }
        if let Err(error) = self.file.write(&frame.bytes) {
            self.dropped += 1;
            // EINVAL: what the board sent on a TUN device is no IP packet.
            if !is_idle(&error) && error.raw_os_error() != Some(libc::EINVAL) {
                self.error.get_or_insert(error);
            }
        }
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        Some(now + self.poll_every)
    }

    fn medium(&self) -> Medium {
        self.medium
    }
}

/// One ICMP echo (RFC 792) from the kernel's side through a raw socket, with `length` bytes of data; gives the data that came back.
///
/// # Errors
/// When raw sockets are not allowed, nothing comes back within ten seconds, or what comes is not the answer to what was sent.
pub fn ping(to: Ipv4Addr, length: usize) -> io::Result<Vec<u8>> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // A raw socket is read and written like a UDP socket: `send` and `recv` of datagrams.
    // SAFETY: the call above has just opened it, and nobody else owns it.
    let socket = std::net::UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) });
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
    let mut request = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    request.extend((0..length).map(|n| n as u8));
    let sum: u32 = request
        .chunks(2)
        .map(|pair| u32::from(pair[0]) * 256 + pair.get(1).map_or(0, |&low| u32::from(low)))
        .sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = !((folded & 0xFFFF) + (folded >> 16)) as u16;
    request[2..4].copy_from_slice(&folded.to_be_bytes());
    socket.send_to(&request, (to, 0))?;
    let mut buffer = [0; 2048];
    let count = socket.recv(&mut buffer)?;
    // Header of 20 bytes, type 0 code 0, checksum, then as sent.
    if count < 28 || buffer[20..22] != [0, 0] || buffer[24..count] != request[4..] {
        return Err(io::Error::other("the answer is not what was sent"));
    }
    Ok(buffer[28..count].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gmii::GmiiPort;
    use crate::netns::in_namespace;
    use crate::peer::{Conversation, EchoServer, Peer, PeerConfig};
    use crate::world::{with_port, Clock, Port, World};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time;

    const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

    fn tap(medium: Medium) -> TapLink {
        let tap = TapLink::open("toe0", medium).unwrap();
        tap.without_ipv6().unwrap();
        tap.configure(KERNEL, 24, Some(MAC)).unwrap();
        tap
    }

    fn peer(medium: Medium) -> Peer {
        Peer::new(&PeerConfig {
            medium,
            ip: PEER,
            mac: [2, 0, 0, 0, 0, 0x78],
            ..PeerConfig::default()
        })
    }

    /// Runs the peer against the kernel in real time until it is told to stop.
    fn serve(tap: &mut TapLink, peer: &mut Peer, mut stop: impl FnMut(&Peer) -> bool) {
        let start = time::Instant::now();
        while !stop(peer) {
            let now = Instant::from_micros(start.elapsed().as_micros() as i64);
            assert!(now < Instant::from_secs(60), "{}", peer.report());
            while let Some(frame) = tap.receive(now) {
                peer.send(frame, now);
            }
            while let Some(frame) = peer.receive(now) {
                tap.send(frame, now);
            }
            let idle = peer.idle_until(now).map_or(10_000, |at| {
                (at.total_micros() - now.total_micros()).clamp(0, 10_000)
            });
            tap.wait(time::Duration::from_micros(idle as u64)).unwrap();
        }
        assert!(tap.error().is_none());
    }

    fn data() -> Vec<u8> {
        (0..100 * 1024u32)
            .map(|n| n.wrapping_mul(n / 5) as u8)
            .collect()
    }

    /// Sends all, half-closes, reads to the end, on threads of its own as a real client must.
    fn echo_through(mut stream: TcpStream, data: &[u8]) -> Vec<u8> {
        let mut reader = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut back = Vec::new();
                reader.read_to_end(&mut back).unwrap();
                back
            });
            stream.write_all(data).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            reader.join().unwrap()
        })
    }

    #[test]
    fn the_kernel_pings_smoltcp() {
        in_namespace("tap::tests::the_kernel_pings_smoltcp", || {
            for medium in [Medium::Ethernet, Medium::Ip] {
                let (mut tap, mut peer) = (tap(medium), peer(medium));
                let over = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        for length in [0, 1, 56, 1472] {
                            assert_eq!(ping(PEER, length).unwrap().len(), length);
                        }
                        over.store(true, Ordering::Relaxed);
                    });
                    serve(&mut tap, &mut peer, |_| over.load(Ordering::Relaxed));
                });
            }
        });
    }

    #[test]
    fn a_hundred_kibibytes_echo_between_the_kernel_and_smoltcp() {
        let name = "tap::tests::a_hundred_kibibytes_echo_between_the_kernel_and_smoltcp";
        in_namespace(name, || {
            for medium in [Medium::Ethernet, Medium::Ip] {
                // The kernel connects.
                let (mut tap, mut peer) = (tap(medium), peer(medium));
                let echo = peer.add(EchoServer::new(7, 1));
                std::thread::scope(|scope| {
                    let client = scope.spawn(|| {
                        let stream = TcpStream::connect((PEER, 7)).unwrap();
                        assert_eq!(echo_through(stream, &data()), data());
                    });
                    serve(&mut tap, &mut peer, |_| client.is_finished());
                });
                assert_eq!(peer.app(echo).echoed(), 100 * 1024);
                // smoltcp connects.
                let listener = TcpListener::bind((KERNEL, 7000)).unwrap();
                peer.add(Conversation::echo_client(KERNEL, 7000, data()));
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        let (mut stream, _) = listener.accept().unwrap();
                        let mut writer = stream.try_clone().unwrap();
                        io::copy(&mut stream, &mut writer).unwrap();
                    });
                    serve(&mut tap, &mut peer, |peer| peer.is_over());
                });
                assert_eq!(peer.finished(), Ok(true));
            }
        });
    }

    /// The kernel against something at GMII pins, stepped cycle by cycle in real time.
    #[test]
    fn the_kernel_reaches_a_board_at_its_pins() {
        in_namespace("tap::tests::the_kernel_reaches_a_board_at_its_pins", || {
            let mut far = GmiiPort::new();
            let mut server = peer(Medium::Ethernet);
            server.add(EchoServer::new(7, 1));
            let mut from = (false, false, 0);
            let clock = Clock::real();
            let board = with_port(GmiiPort::new(), move |port: &mut GmiiPort| {
                let to = port.step(from.0, from.1, from.2);
                from = far.step(to.0, to.1, to.2);
                if far.cycle().is_multiple_of(64) {
                    let now = clock.now(far.cycle());
                    while let Some(frame) = far.take() {
                        server.send(frame, now);
                    }
                    while let Some(frame) = server.receive(now) {
                        far.queue(frame);
                    }
                }
            });
            let mut world = World::new(board, tap(Medium::Ethernet), clock);
            std::thread::scope(|scope| {
                let client = scope.spawn(|| {
                    let stream = TcpStream::connect((PEER, 7)).unwrap();
                    assert_eq!(echo_through(stream, &data()), data());
                });
                let over = world.run_until(20_000_000_000, |_, _| client.is_finished());
                assert!(over.is_ok(), "{over:?}");
            });
        });
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "a_name_too_long_", "a/b", "tap 0", "tap%d", "a:b"] {
            let error = TapLink::open(name, Medium::Ethernet).unwrap_err();
            assert!(matches!(error, TapError::Name { .. }), "{error}");
            assert!(error.to_string().contains("1 to 15 bytes"), "{error}");
        }
    }

    #[test]
    fn a_busy_device_and_one_of_another_kind_are_told_apart() {
        let name = "tap::tests::a_busy_device_and_one_of_another_kind_are_told_apart";
        in_namespace(name, || {
            // Fifteen bytes are the most.
            let held = TapLink::open("a_name_just_fit", Medium::Ethernet).unwrap();
            let error = TapLink::open(held.name(), Medium::Ethernet).unwrap_err();
            assert!(matches!(error, TapError::Busy { .. }), "{error}");
            let error = TapLink::open(held.name(), Medium::Ip).unwrap_err();
            assert!(matches!(error, TapError::Kind { .. }), "{error}");
            let error = TapLink::open("lo", Medium::Ethernet).unwrap_err();
            assert!(matches!(error, TapError::Kind { .. }), "{error}");
            drop(held);
            assert!(TapLink::open("a_name_just_fit", Medium::Ip).is_ok());
        });
    }

    #[test]
    fn a_forbidden_device_is_told() {
        in_namespace("tap::tests::a_forbidden_device_is_told", || {
            // A user of this namespace with no capabilities left.
            // SAFETY: no pointers are passed, and the process has no thread that relies on its capabilities: it runs this test alone.
            let header = [0x2008_0522u32, 0];
            let nothing = [0u32; 6];
            let dropped =
                unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), nothing.as_ptr()) };
            assert_eq!(dropped, 0, "{}", io::Error::last_os_error());
            let error = TapLink::open("toe0", Medium::Ethernet).unwrap_err();
            assert!(matches!(error, TapError::Permission { .. }), "{error}");
            assert!(error.to_string().contains("run as root"), "{error}");
        });
    }
}

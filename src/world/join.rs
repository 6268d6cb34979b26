//! How processes find each other: rank 0 serves a store at the address, the others put in who they are and read who the others are, and
//! only then all connect with all.

use std::io::ErrorKind as Failure;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::sys::disk;
use crate::torch::world::Group;
use crate::{Error, ErrorKind, Result, shutdown};

/// Processes of a world at most. Each connects with each.
pub const MOST_RANKS: u32 = 1024;

/// The longest timeout: a month, which every clock and every part below takes.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Between two attempts to reach rank 0, which may start later.
const ATTEMPTS: Duration = Duration::from_millis(50);

/// How long one of the addresses of rank 0's name is tried, before the next one is.
const ONE_ADDRESS: Duration = Duration::from_secs(2);

/// Between two looks for what another process has yet to say.
const LOOKS: Duration = Duration::from_millis(20);

/// How long rank 0 stays, when it has found that not all fit, until the others have read why.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Who a process is.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    library: String,
    size: u32,
}

/// Where rank 0 is.
#[derive(Debug)]
enum Address {
    Host { host: String, port: u16 },
    File(PathBuf),
}

pub(super) fn join(rank: u32, size: u32, address: &str, timeout: Duration) -> Result<Group> {
    if size == 0 || size > MOST_RANKS {
        return Err(Error::invalid(format!("a world of {size} processes, expected 1 to {MOST_RANKS}")));
    }
    if rank >= size {
        return Err(Error::invalid(format!("rank {rank} of {size} processes, expected 0 to {}", size - 1)));
    }
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        return Err(Error::invalid(format!(
            "a timeout of {} s, expected more than 0 and at most 30 days",
            timeout.as_secs_f64()
        )));
    }
    let deadline = Instant::now() + timeout;
    let place = Address::parse(address)?;
    let (mut group, own) = match rank {
        0 => serve(&place, timeout)?,
        _ => reach(&place, (rank, size), deadline, timeout)?,
    };
    let joined = meet(&group, (rank, size), address, deadline, timeout).and_then(|()| {
        group
            .connect(rank, size, own, timeout)
            .map_err(|error| io(format!("rank {rank} of {size} cannot connect with the others: {}", reason(&error))))
    });
    if let (0, Address::File(path)) = (rank, &place) {
        // All have read it, or never will. It names a port that ends with this process.
        let _ = std::fs::remove_file(path);
    }
    joined.map(|()| group)
}

impl Address {
    fn parse(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("file:") {
            return match path {
                "" => Err(Error::invalid("the address \"file:\" names no file")),
                path => Ok(Address::File(PathBuf::from(path))),
            };
        }
        let wrong = |why: &str| {
            Err(Error::invalid(format!(
                "the address \"{text}\" {why}; expected host:port of rank 0, such as 192.168.0.10:29500, or file:PATH for processes of one \
                 machine"
            )))
        };
        let Some((host, port)) = text.rsplit_once(':') else { return wrong("has no port") };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match port.parse::<u16>() {
            _ if host.is_empty() => wrong("has no host"),
            Ok(0) => wrong("has port 0, of which the others would not know what it becomes"),
            Ok(port) => Ok(Address::Host { host: host.to_owned(), port }),
            Err(_) => wrong("has no port from 1 to 65535"),
        }
    }

    /// What rank 0's address is now; none where the file is not there yet.
    fn find(&self) -> Result<Option<Vec<SocketAddr>>> {
        match self {
            Address::Host { host, port } => match (host.as_str(), *port).to_socket_addrs() {
                Ok(found) => Ok(Some(found.collect())),
                Err(error) => Err(io(format!("there is no host \"{host}\": {error}"))),
            },
            Address::File(path) => Ok(written(path)),
        }
    }
}

/// The address in the file `path`, where there is one.
fn written(path: &Path) -> Option<Vec<SocketAddr>> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(vec![text.trim().parse().ok()?])
}

/// Listens at the address and serves the store there; gives the address that others reach this process by.
fn serve(place: &Address, timeout: Duration) -> Result<(Group, IpAddr)> {
    let listener = match place {
        Address::File(path) => {
            if let Some(found) = written(path)
                && found.iter().any(|address| TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok())
            {
                return Err(Error::invalid(format!(
                    "{} names {}, where another rank 0 listens: give each world a file of its own",
                    path.display(),
                    found[0]
                )));
            }
            listen(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])?
        }
        Address::Host { .. } => listen(&place.find()?.unwrap_or_default())?,
    };
    let address = listener.local_addr().map_err(|error| io(format!("rank 0 cannot listen: {error}")))?;
    if address.ip().is_unspecified() {
        return Err(Error::invalid(format!(
            "{address} means every address of this machine: give the one by which the other processes reach it"
        )));
    }
    let group = Group::open(address, Some(listener), timeout)
        .map_err(|error| io(format!("rank 0 cannot serve {address}: {}", reason(&error))))?;
    if let Address::File(path) = place {
        disk::write_whole(path, address.to_string().as_bytes())?;
    }
    Ok((group, address.ip()))
}

fn listen(addresses: &[SocketAddr]) -> Result<TcpListener> {
    TcpListener::bind(addresses).map_err(|error| {
        let at = addresses.first().map_or_else(String::new, SocketAddr::to_string);
        let hint = match error.kind() {
            Failure::AddrInUse => "; another program has this port: choose another, or see whether rank 0 runs already",
            Failure::AddrNotAvailable => "; it is not an address of this machine, on which rank 0 runs",
            Failure::PermissionDenied => "; choose a port from 1024 on",
            _ => "",
        };
        io(format!("rank 0 cannot listen at {at}: {error}{hint}"))
    })
}

/// Connects with rank 0's store, as soon as it is there; gives the address that others reach this process by.
fn reach(place: &Address, (rank, size): (u32, u32), deadline: Instant, timeout: Duration) -> Result<(Group, IpAddr)> {
    let mut last = "it has not written its address".to_owned();
    let own = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let at = match place {
                Address::Host { host, port } => format!("{host}:{port}"),
                Address::File(path) => path.display().to_string(),
            };
            return Err(io(format!(
                "rank {rank} of {size} cannot reach rank 0 at {at} (timeout {} s): {last}; see whether rank 0 runs, and whether the address and \
                 the firewall are right",
                timeout.as_secs_f64()
            )));
        }
        let found = place.find()?.unwrap_or_default();
        let attempt = found.iter().map(|address| {
            let stream = shutdown::aside(|| TcpStream::connect_timeout(address, left.min(ONE_ADDRESS)));
            stream.and_then(|stream| Ok((stream.local_addr()?.ip(), *address)))
        });
        let mut failed = None;
        match attempt
            .inspect(|tried| failed = tried.as_ref().err().map(ToString::to_string))
            .find_map(|tried| tried.ok())
        {
            Some(reached) => break reached,
            None => last = failed.unwrap_or(last),
        }
        shutdown::aside(|| std::thread::sleep(ATTEMPTS.min(left)));
        shutdown::pass();
    };
    let (own, address) = own;
    let group = Group::open(address, None, deadline.saturating_duration_since(Instant::now())).map_err(|error| {
        io(format!("rank {rank} of {size} cannot use what rank 0 serves at {address}: {}", reason(&error)))
    })?;
    Ok((group, own))
}

/// Says who this process is, and waits until it knows that all others fit.
fn meet(group: &Group, (rank, size): (u32, u32), address: &str, deadline: Instant, timeout: Duration) -> Result<()> {
    let lost = |error: Error| io(format!("rank {rank} of {size} has lost rank 0 at {address}: {}", reason(&error)));
    if group.count(&format!("rank/{rank}")).map_err(lost)? > 1 {
        return Err(Error::invalid(format!(
            "rank {rank} has joined at {address} already: give each process a rank of its own, and begin again on all where one was \
             restarted"
        )));
    }
    let about = About { library: env!("CARGO_PKG_VERSION").to_owned(), size };
    let text = serde_json::to_string(&about).map_err(|error| Error::internal("the greeting of a world", error))?;
    group.put(&format!("about/{rank}"), &text).map_err(lost)?;
    let fit = (0..size).try_for_each(|other| {
        let what = || {
            format!(
                "rank {rank} of {size} waited for rank {other} to join at {address} (timeout {} s)",
                timeout.as_secs_f64()
            )
        };
        let found = awaited(group, &format!("about/{other}"), deadline)
            .map_err(|error| io(format!("{}: {}", what(), reason(&error))))?;
        let found = found.ok_or_else(|| io(format!("{}: it has not come", what())))?;
        let found: About =
            serde_json::from_str(&found).map_err(|error| Error::internal("the greeting of a world", error))?;
        about.fits(&found, rank, other)
    });
    let met = group.put(&format!("met/{rank}"), "met").map_err(lost);
    let differs = fit.as_ref().is_err_and(|error| error.kind() == ErrorKind::Mismatch);
    if rank == 0 && differs {
        // The store ends with this process.
        let until = Instant::now() + LAST_WORDS;
        for other in 1..size {
            let _ = awaited(group, &format!("met/{other}"), until);
        }
    }
    fit.and(met)
}

/// What is under `key`, as soon as it is there; none where it is not by `deadline`.
fn awaited(group: &Group, key: &str, deadline: Instant) -> Result<Option<String>> {
    loop {
        if let Some(text) = group.take(key)? {
            return Ok(Some(text));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        shutdown::aside(|| std::thread::sleep(LOOKS.min(left)));
        shutdown::pass();
    }
}

impl About {
    fn fits(&self, other: &Self, rank: u32, whose: u32) -> Result<()> {
        if self.library != other.library {
            return Err(Error::mismatch(format!(
                "rank {whose} runs libseed {}, but rank {rank} runs {}: all processes need one version",
                other.library, self.library
            )));
        }
        if self.size != other.size {
            return Err(Error::mismatch(format!(
                "rank {whose} says that there are {} processes, but rank {rank} says {}",
                other.size, self.size
            )));
        }
        Ok(())
    }
}

fn io(message: String) -> Error {
    Error::new(ErrorKind::Io, message)
}

/// What c10d or Gloo says, without the place in their sources that begins it.
pub(super) fn reason(error: &Error) -> &str {
    let text = error.message();
    let text = text.strip_prefix("libtorch: ").unwrap_or(text);
    match text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((place, rest)) if place.contains(".cc:") || place.contains(".cpp:") => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_are_refused() {
        for text in ["", "host", "host:", "host:0", "host:65536", ":29500", "file:", "host:port"] {
            assert_eq!(Address::parse(text).unwrap_err().kind(), ErrorKind::InvalidArgument, "{text}");
        }
        assert!(matches!(Address::parse("[::1]:29500").unwrap(), Address::Host { host, port: 29500 } if host == "::1"));
        assert!(
            matches!(Address::parse("file:/tmp/a:b").unwrap(), Address::File(path) if path == Path::new("/tmp/a:b"))
        );
    }

    #[test]
    fn a_reason_has_no_place_in_sources() {
        let gloo =
            Error::new(ErrorKind::Torch, "libtorch: [/x/gloo/transport/tcp/pair.cc:5] Read error [127.0.0.1]:1: Reset");
        assert_eq!(reason(&gloo), "Read error [127.0.0.1]:1: Reset");
        assert_eq!(reason(&io("[127.0.0.1]: gone".to_owned())), "[127.0.0.1]: gone");
    }
}

//! A process of a test, ended by its own handle.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Its process id may be another's by now.
    ended: bool,
    frozen: AtomicBool,
}

impl Process {
    pub(crate) fn spawn(mut program: Command) -> Self {
        let child = program.spawn().expect("redis-server starts");
        Self { child, ended: false, frozen: AtomicBool::new(false) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself, or was ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.ended = self.ended || self.child.try_wait().expect("the server is ours").is_some();
        self.ended
    }

    /// Whether it can answer.
    pub(crate) fn runs(&self) -> bool {
        !self.ended && !self.frozen.load(Ordering::SeqCst)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the server is ours");
        self.child.wait().expect("the server is ours");
        self.ended = true;
    }

    /// Stops it as a debugger would.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP).expect("the server is ours and runs");
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT).expect("the server is ours and runs");
        self.frozen.store(false, Ordering::SeqCst);
    }

    fn signal(&self, signal: Signal) -> nix::Result<()> {
        if self.ended {
            return Err(Errno::ESRCH);
        }
        let id = i32::try_from(self.id()).map_err(|_| Errno::ESRCH)?;
        kill(Pid::from_raw(id), signal)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal(Signal::SIGCONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! How a role is told to stop: one [`Trigger`], any number of [`Shutdown`]s that wait for it.

use tokio::sync::watch;

/// Tells everybody who holds the matching [`Shutdown`] to stop; dropping it tells them too.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Becomes ready once, when the role has to stop.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger and what it triggers.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Asks for the stop. Asking twice is asking once.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether the stop was asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until the stop is asked for. Safe to cancel, and ready for ever after.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        // An error says that the trigger is gone, and with it whoever wanted this role to run.
        let _ = receiver.wait_for(|stop| *stop).await;
    }
}

/// Waits for the first SIGINT or SIGTERM, which is how people and supervisors stop a process.
///
/// # Errors
/// The system's, where it refuses to install the handlers.
pub async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_reaches_every_waiter_before_and_after() {
        let (trigger, shutdown) = channel();
        assert!(!shutdown.is_requested());
        let waiter = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        trigger.stop();
        waiter.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_lost_trigger_is_a_stop() {
        let (trigger, shutdown) = channel();
        drop(trigger);
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}

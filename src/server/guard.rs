//! A panic ends one connection, not the worker.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future whose panic becomes an `Err` with the panic's message.
pub(super) struct CatchUnwind<F> {
    // `None` once it has panicked: it must not be polled again.
    inner: Option<Pin<Box<F>>>,
}

impl<F: Future> CatchUnwind<F> {
    pub(super) fn new(future: F) -> Self {
        CatchUnwind {
            inner: Some(Box::pin(future)),
        }
    }
}

impl<F: Future> Future for CatchUnwind<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Pending;
        };
        // The future is never polled again after a panic, and what it shares with others
        // (pool, cache, registry) is only ever changed in single steps.
        match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => {
                let message = message(panic.as_ref());
                // What is left of the future is dropped under guard, too.
                let rest = self.inner.take();
                let _ = catch_unwind(AssertUnwindSafe(|| drop(rest)));
                Poll::Ready(Err(message))
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_panic_is_an_error() {
        let mut future = CatchUnwind::new(async { panic!("oh {}", 1) });
        let mut cx = Context::from_waker(Waker::noop());
        let poll = Pin::new(&mut future).poll(&mut cx);
        assert_eq!(poll, Poll::Ready(Err::<(), _>("oh 1".to_owned())));
        assert!(Pin::new(&mut future).poll(&mut cx).is_pending());
    }
}

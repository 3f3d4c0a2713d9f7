//! How the provider's answer becomes the client's.

use crate::error::Error;
use crate::translate::diagnostic::Diagnostic;
use crate::translate::fold::Fold;
use crate::translate::passthrough::Tap;
use crate::translate::reverse;
use crate::translate::stream::{Compactor, Progress, Sink, Translator, UpstreamEnd, Usage};
use std::borrow::Cow;

/// How the answer's body becomes the client's.
pub(super) enum Mode {
    /// Its text becomes a compaction.
    Compact(Box<Compactor>, Sink),
    /// A stream of the client's own dialect becomes the one object that it asked for.
    Fold(Box<Fold>),
    /// Untouched, with a tap.
    Pass(Box<Tap>),
    /// A chat answer becomes a response.
    Translate(Box<Translator>, Sink),
    /// A response becomes a chat answer.
    Reverse(Box<reverse::stream::Translator>, Sink),
}

impl Mode {
    /// Takes the next bytes of a stream; `true` when the client has everything.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        match self {
            Mode::Compact(c, _) => c.feed(bytes, out).map(|p| p == Progress::Terminal),
            Mode::Fold(fold) => fold.feed(bytes, out),
            Mode::Pass(tap) => tap.feed(bytes, out).map(|()| false),
            Mode::Translate(t, _) => t.feed(bytes, out).map(|p| p == Progress::Terminal),
            Mode::Reverse(t, _) => t.feed(bytes, out).map(|p| p == Progress::Terminal),
        }
    }

    /// Takes a whole object; `true` when the client has everything.
    pub fn feed_object(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        match self {
            Mode::Compact(c, _) => c.feed_object(body, out).map(|p| p == Progress::Terminal),
            Mode::Fold(fold) => {
                fold.feed_object(body, out);
                Ok(true)
            }
            Mode::Pass(_) => Ok(true),
            Mode::Translate(t, _) => t.feed_object(body, out).map(|p| p == Progress::Terminal),
            Mode::Reverse(t, _) => t.feed_object(body, out).map(|p| p == Progress::Terminal),
        }
    }

    /// The upstream body has ended.
    pub fn finish(&mut self, end: UpstreamEnd, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Mode::Compact(c, _) => c.finish(end, out),
            Mode::Fold(fold) => fold.finish(end, out),
            Mode::Pass(tap) => tap.finish(end, out),
            Mode::Translate(t, _) => t.finish(end, out),
            Mode::Reverse(t, _) => t.finish(end, out),
        }
    }

    /// Starts the client's stream although there is no output yet.
    pub fn commit(&mut self, out: &mut Vec<u8>) {
        match self {
            Mode::Compact(c, _) => c.commit(out),
            Mode::Fold(_) => {}
            Mode::Pass(tap) => tap.commit(out),
            Mode::Translate(t, _) => t.commit(out),
            Mode::Reverse(t, _) => t.commit(out),
        }
    }

    /// Says that the stream lives.
    pub fn keepalive(&mut self, out: &mut Vec<u8>) {
        match self {
            Mode::Compact(c, _) => c.keepalive(out),
            Mode::Fold(_) | Mode::Pass(_) => {}
            Mode::Translate(t, _) => t.keepalive(out),
            Mode::Reverse(t, _) => t.keepalive(out),
        }
    }

    /// Tells the wall clock, in Unix seconds.
    pub fn set_now(&mut self, unix_s: u64) {
        match self {
            Mode::Compact(c, _) => c.set_now(unix_s),
            Mode::Fold(_) | Mode::Pass(_) | Mode::Reverse(..) => {}
            Mode::Translate(t, _) => t.set_now(unix_s),
        }
    }

    /// Notes what a whole object that is passed through says of itself.
    pub fn look_at_object(&mut self, body: &[u8]) {
        if let Mode::Pass(tap) = self {
            tap.look_at_object(body);
        }
    }

    /// Whether the answer goes through untouched.
    pub fn passes(&self) -> bool {
        matches!(self, Mode::Pass(_))
    }

    /// Whether the client gets a stream that is made here.
    pub fn makes_stream(&self) -> bool {
        matches!(
            self,
            Mode::Compact(_, Sink::Sse | Sink::WebSocket)
                | Mode::Translate(_, Sink::Sse | Sink::WebSocket)
                | Mode::Reverse(_, Sink::Sse)
        )
    }

    /// Whether the client gets one object that is made here.
    pub fn gives_object(&self) -> bool {
        matches!(
            self,
            Mode::Fold(_)
                | Mode::Compact(_, Sink::Json)
                | Mode::Translate(_, Sink::Json)
                | Mode::Reverse(_, Sink::Json)
        )
    }

    /// Whether only the end of the upstream body is outstanding.
    pub fn finishing(&self) -> bool {
        match self {
            Mode::Compact(c, _) => c.finishing(),
            Mode::Fold(_) => false,
            Mode::Pass(tap) => tap.holds(),
            Mode::Translate(t, _) => t.finishing(),
            Mode::Reverse(t, _) => t.finishing(),
        }
    }

    /// How it ended, for the log.
    pub fn outcome(&self) -> &'static str {
        match self {
            Mode::Compact(c, _) => c.status().unwrap_or("open"),
            Mode::Fold(fold) => fold.status().unwrap_or("open"),
            Mode::Pass(tap) => tap.status().unwrap_or("passed"),
            Mode::Translate(t, _) => t.status().unwrap_or("open"),
            Mode::Reverse(t, _) => t.status().unwrap_or("open"),
        }
    }

    /// Why the model stopped, in the provider's word; empty where that is not known.
    pub fn stop(&self) -> &str {
        match self {
            Mode::Compact(c, _) => c.stop(),
            Mode::Fold(fold) => &fold.ending().stop,
            Mode::Pass(tap) => tap.stop(),
            Mode::Translate(t, _) => t.stop(),
            Mode::Reverse(t, _) => &t.ending().stop,
        }
    }

    /// The model that the answer names; empty where that is not known.
    pub fn served(&self) -> Cow<'_, str> {
        match self {
            Mode::Compact(c, _) => Cow::Borrowed(c.served()),
            Mode::Fold(fold) => Cow::Borrowed(&fold.ending().served),
            Mode::Pass(tap) => tap.served(),
            Mode::Translate(t, _) => Cow::Borrowed(t.served()),
            Mode::Reverse(t, _) => Cow::Borrowed(&t.ending().served),
        }
    }

    /// The id of the response that the client got to its end, and its items, comma separated.
    pub fn response(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Mode::Compact(c, _) => c.response(),
            Mode::Pass(tap) => tap.response(),
            Mode::Translate(t, _) => t.response(),
            Mode::Fold(_) | Mode::Reverse(..) => None,
        }
    }

    /// The response object of the terminal event that is held back, once.
    pub fn take_held(&mut self) -> Option<Vec<u8>> {
        match self {
            Mode::Compact(c, _) => c.take_held(),
            Mode::Pass(tap) => tap.take_held(),
            Mode::Translate(t, _) => t.take_held(),
            Mode::Fold(_) | Mode::Reverse(..) => None,
        }
    }

    /// Says what was held back where it holds no response object.
    pub fn say_rest(&mut self, out: &mut Vec<u8>) {
        if let Mode::Pass(tap) = self {
            tap.say_end(false, out);
        }
    }

    /// Says the terminal event that was held back; the response is kept, or it says that it is
    /// not. `response` is its object.
    pub fn say_end(&mut self, response: &[u8], kept: bool, out: &mut Vec<u8>) {
        match self {
            Mode::Compact(c, _) => c.say_end(response, out),
            Mode::Pass(tap) => tap.say_end(!kept, out),
            Mode::Translate(t, _) => t.say_end(response, out),
            Mode::Fold(_) | Mode::Reverse(..) => {}
        }
    }

    /// How many events there were for the client, where it gets a stream.
    pub fn events(&self) -> u64 {
        match self {
            Mode::Compact(c, _) => c.events(),
            Mode::Fold(_) => 0,
            Mode::Pass(tap) => tap.events(),
            Mode::Translate(t, _) => t.events(),
            Mode::Reverse(t, _) => t.events(),
        }
    }

    /// Token counts, once known.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Mode::Compact(c, _) => c.usage(),
            Mode::Fold(fold) => fold.usage(),
            Mode::Pass(tap) => tap.usage(),
            Mode::Translate(t, _) => t.usage(),
            Mode::Reverse(t, _) => t.usage(),
        }
    }

    /// What of the answer was dropped.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Mode::Compact(..) | Mode::Fold(_) | Mode::Pass(_) | Mode::Reverse(..) => &[],
            Mode::Translate(t, _) => t.diagnostics(),
        }
    }
}

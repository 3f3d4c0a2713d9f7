//! `translate::fold` on arbitrary streams: however they are cut, one object comes out, or one
//! error and nothing; the object is JSON, and every item that was told stands in it.

use strait_fuzz::fuzz_target;
use strait::error::Error;
use strait::translate::fold::Fold;
use strait::translate::stream::UpstreamEnd;

fn run(pieces: &[&[u8]]) -> (Result<(), Error>, Vec<u8>, Fold) {
    let (mut fold, mut out) = (Fold::new(), Vec::new());
    for piece in pieces {
        match fold.feed(piece, &mut out) {
            Ok(true) => return (Ok(()), out, fold),
            Ok(false) => assert!(out.is_empty(), "half an object"),
            Err(error) => return (Err(error), out, fold),
        }
    }
    let result = fold.finish(UpstreamEnd::Clean, &mut out);
    (result, out, fold)
}

fuzz_target!(|data: &[u8]| {
    let [whole, bytes, pieces] = strait_fuzz::segmentations(data);
    let (result, out, fold) = run(&whole);
    for cut in [bytes, pieces] {
        let (again, same, other) = run(&cut);
        assert_eq!((again, same), (result.clone(), out.clone()));
        assert_eq!(
            (other.status(), other.usage()),
            (fold.status(), fold.usage())
        );
    }
    match result {
        Ok(()) => assert!(strait_fuzz::is_json(&out) && out.starts_with(b"{")),
        Err(error) => {
            assert!(out.is_empty() && strait_fuzz::is_json(&error.body()));
            assert_eq!(fold.status(), Some("failed"));
        }
    }
});

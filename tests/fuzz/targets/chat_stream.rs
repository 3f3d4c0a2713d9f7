//! `translate::stream::Translator` on arbitrary bytes: the output does not depend on the
//! segmentation; there is one terminal event, or an error and no output; events are whole JSON
//! lines, items do not interleave, sequence numbers have no gaps, deltas add up
//! (`strait_fuzz::check_stream`). The same bytes are also taken as a whole completion object, and
//! as the summary of a compaction (`strait_fuzz::compaction`).

use strait_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let options = strait_fuzz::digest(data) as u32;
    strait_fuzz::chat::check(data, options);
    strait_fuzz::compaction::check(data, options);
    if data.trim_ascii_start().starts_with(b"{") {
        strait_fuzz::chat::check_whole(data, options);
    }
});

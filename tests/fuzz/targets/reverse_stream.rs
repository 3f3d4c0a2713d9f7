//! `translate::reverse::stream::Translator` on arbitrary bytes: the output does not depend on the
//! segmentation; there is one end and then `[DONE]`, or an error and no output; chunks are whole
//! JSON lines, the first one alone says who speaks, calls are counted
//! (`strait_fuzz::reverse::Answer`); the whole object says what the stream says. The same bytes
//! are also taken as a whole Response object.

use strait_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let options = strait_fuzz::digest(data) as u32;
    strait_fuzz::reverse::check(data, options);
    if data.trim_ascii_start().starts_with(b"{") {
        strait_fuzz::reverse::check_whole(data, options);
    }
});

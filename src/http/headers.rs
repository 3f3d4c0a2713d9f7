//! Header fields: how a head's lines are read into them (RFC 9112 section 5).

use super::token;

/// Header fields in order; names in lower case. All of them stand in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    /// Lines as they came, but for the names' case.
    text: String,
    fields: Vec<Field>,
}

/// Where a field's name and its value stand in the buffer.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: u32,
    name_end: u32,
    value: u32,
    value_end: u32,
}

impl Headers {
    /// Reads the lines that end at `ends` of a head, of which `text` is what is behind `start`: the
    /// line end there, and all of them. They hold no control characters but tabulators.
    pub(super) fn read(text: &str, start: usize, ends: &[u32]) -> Result<Headers, &'static str> {
        let mut text = text.as_bytes().to_vec();
        let mut fields = Vec::with_capacity(ends.len());
        let mut line = b"\r\n".len();
        for end in ends {
            let end = *end as usize - start;
            let name = token::lower(&mut text[line..]);
            let (1.., Some([b':', value @ ..])) = (name, text.get(line + name..end)) else {
                return Err("the name of a field is not a token with a colon behind it");
            };
            let name_end = line + name;
            let (value, value_end) = trimmed(value, name_end + 1);
            fields.push(Field {
                name: line as u32,
                name_end: name_end as u32,
                value: value as u32,
                value_end: value_end as u32,
            });
            line = end + b"\r\n".len();
        }
        // SAFETY: it was text, and only letters of ASCII were replaced, by such.
        let text = unsafe { String::from_utf8_unchecked(text) };
        Ok(Headers { text, fields })
    }

    /// Adds a field; `name` must be in lower case. All fields together are to stay below 4 GiB:
    /// heads are limited to far less.
    pub fn push(&mut self, name: &str, value: &str) {
        let begin = self.text.len();
        self.text.push_str(name);
        self.text.push_str(value);
        let name_end = (begin + name.len()) as u32;
        self.fields.push(Field {
            name: begin as u32,
            name_end,
            value: name_end,
            value_end: self.text.len() as u32,
        });
    }

    /// The value of the first field called `name` (given in lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields called `name` (given in lower case).
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter_map(move |field| {
            // Most differ in length.
            let same = (field.name_end - field.name) as usize == name.len()
                && &self.text.as_bytes()[field.name as usize..][..name.len()] == name.as_bytes();
            same.then(|| self.value_of(field))
        })
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| {
            let name = &self.text[field.name as usize..field.name_end as usize];
            (name, self.value_of(field))
        })
    }

    /// The names of all fields, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let text = self.text.as_bytes();
        let names = self.fields.iter();
        names.map(|field| &text[field.name as usize..field.name_end as usize])
    }

    /// The value of the `n`th field.
    pub(super) fn value(&self, n: usize) -> &str {
        self.value_of(&self.fields[n])
    }

    fn value_of(&self, field: &Field) -> &str {
        &self.text[field.value as usize..field.value_end as usize]
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

/// Where a line that stands at `from` begins and ends without the blanks around it. Of what is not
/// above the space, only the tabulator may be in it.
fn trimmed(mut line: &[u8], mut from: usize) -> (usize, usize) {
    while let [..=b' ', rest @ ..] = line {
        line = rest;
        from += 1;
    }
    while let [rest @ .., ..=b' '] = line {
        line = rest;
    }
    (from, from + line.len())
}

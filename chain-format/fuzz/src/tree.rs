//! CBOR as a tree that can be changed: lengths and counts follow from what is in it, also where a byte string holds CBOR.

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// An unsigned or negative integer, or a simple value: the major type and its argument.
    Number(u8, u64),
    /// A byte string or a text: the major type and its bytes.
    Bytes(u8, Vec<u8>),
    /// A byte string that holds items.
    Packed(Vec<Node>),
    /// An array or a map: the major type, and all children in order.
    List(u8, Vec<Node>),
    /// A tag and what it is of.
    Tag(u64, Vec<Node>),
}

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 32;

/// All items of a sequence; none where there is anything else.
pub fn read(bytes: &[u8]) -> Option<Vec<Node>> {
    sequence(bytes, DEPTH_MAX)
}

/// The sequence's bytes, each head in its shortest form.
pub fn write(nodes: &[Node]) -> Vec<u8> {
    let mut bytes = Vec::new();
    nodes.iter().for_each(|node| node.write(&mut bytes));
    bytes
}

fn sequence(mut bytes: &[u8], depth: usize) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while !bytes.is_empty() {
        nodes.push(item(&mut bytes, depth)?);
    }
    Some(nodes)
}

fn item(bytes: &mut &[u8], depth: usize) -> Option<Node> {
    let depth = depth.checked_sub(1)?;
    let (first, rest) = bytes.split_first()?;
    let (major, short) = (first >> 5, first & 31);
    let width = match short {
        0..=23 => 0,
        24..=27 => 1_usize << (short - 24),
        _ => return None,
    };
    let (wide, rest) = rest.split_at_checked(width)?;
    let wide = wide.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let argument = if width == 0 { u64::from(short) } else { wide };
    *bytes = rest;
    let mut items = |count: u64| -> Option<Vec<Node>> { (0..count).map(|_| item(bytes, depth)).collect() };
    Some(match major {
        0 | 1 | 7 => Node::Number(major, argument),
        4 => Node::List(4, items(argument)?),
        5 => Node::List(5, items(argument.checked_mul(2)?)?),
        6 => Node::Tag(argument, items(1)?),
        _ => {
            let (content, rest) = bytes.split_at_checked(usize::try_from(argument).ok()?)?;
            *bytes = rest;
            // Hashes and signatures are no CBOR, even where they could be read as some.
            let may_hold = major == 2 && content.len() > 64;
            match sequence(content, depth).filter(|_| may_hold) {
                Some(nodes) => Node::Packed(nodes),
                None => Node::Bytes(major, content.to_vec()),
            }
        }
    })
}

fn head(major: u8, argument: u64, to: &mut Vec<u8>) {
    let bytes = argument.to_be_bytes();
    let width = match argument {
        0..24 => return to.push((major << 5) | bytes[7]),
        24..0x100 => 1_usize,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 4,
        _ => 8,
    };
    to.push((major << 5) | (24 + width.ilog2() as u8));
    to.extend(&bytes[8 - width..]);
}

impl Node {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Number(major, argument) => head(*major, *argument, to),
            Self::Bytes(major, content) => {
                head(*major, content.len() as u64, to);
                to.extend(content);
            }
            Self::Packed(nodes) => {
                let content = write(nodes);
                head(2, content.len() as u64, to);
                to.extend(content);
            }
            Self::List(major, nodes) => {
                head(*major, nodes.len() as u64 / if *major == 5 { 2 } else { 1 }, to);
                nodes.iter().for_each(|node| node.write(to));
            }
            Self::Tag(tag, nodes) => {
                head(6, *tag, to);
                nodes.iter().for_each(|node| node.write(to));
            }
        }
    }

    /// What is in it.
    pub fn children(&mut self) -> Option<&mut Vec<Node>> {
        match self {
            Self::Packed(nodes) | Self::List(_, nodes) | Self::Tag(_, nodes) => Some(nodes),
            Self::Number(..) | Self::Bytes(..) => None,
        }
    }

    /// How many nodes it and all in it are.
    pub fn count(&self) -> usize {
        match self {
            Self::Packed(nodes) | Self::List(_, nodes) | Self::Tag(_, nodes) => 1 + count(nodes),
            Self::Number(..) | Self::Bytes(..) => 1,
        }
    }
}

/// How many nodes all of these are.
pub fn count(nodes: &[Node]) -> usize {
    nodes.iter().map(Node::count).sum()
}

/// The n-th node from above and the left, the one that holds it first.
pub fn nth(nodes: &mut [Node], mut n: usize) -> Option<&mut Node> {
    for node in nodes {
        let size = node.count();
        if n == 0 {
            return Some(node);
        }
        if n < size {
            return nth(node.children()?, n - 1);
        }
        n -= size;
    }
    None
}

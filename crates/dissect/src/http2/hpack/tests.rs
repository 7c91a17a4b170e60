//! The examples of RFC 7541 appendix C, and what hostile or late readers meet.
#![allow(clippy::unwrap_used)]

use super::*;

const LIMIT: usize = 64 << 10;

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

/// Fields as lines, a question mark for what is unknown.
fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, BadBlock> {
    let mut lines = Vec::new();
    let text = |part: Part<'_>| part.map_or("?".into(), |p| String::from_utf8_lossy(p).into_owned());
    decoder.decode(block, LIMIT, |f| lines.push(format!("{}: {}", text(f.name), text(f.value))))?;
    Ok(lines)
}

/// The dynamic table, newest entry first.
fn table(decoder: &Decoder) -> Vec<String> {
    (62..)
        .map_while(|i| decoder.table.get(i).ok())
        .map(|(name, value)| {
            format!("{}: {}", String::from_utf8_lossy(name.unwrap()), String::from_utf8_lossy(value.unwrap()))
        })
        .collect()
}

fn examples(size: Option<usize>, blocks: &[(&str, &[&str], &[&str])]) {
    let mut decoder = Decoder::new();
    if let Some(size) = size {
        decoder.table.resize(size);
    }
    for (block, fields, entries) in blocks {
        assert_eq!(read(&mut decoder, &hex(block)).unwrap(), *fields);
        assert_eq!(table(&decoder), *entries);
    }
}

#[test]
fn integers_of_appendix_c1() {
    for (bytes, bits, value) in [("0a", 5, 10), ("1f9a0a", 5, 1337), ("2a", 8, 42)] {
        let bytes = hex(bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(integer(&mut rest, bits), Ok(value));
        assert!(rest.is_empty());
    }
}

#[test]
fn representations_of_appendix_c2() {
    let block = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    examples(None, &[(block, &["custom-key: custom-header"], &["custom-key: custom-header"])]);
    examples(None, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], &[])]);
    examples(None, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], &[])]);
    examples(None, &[("82", &[":method: GET"], &[])]);
}

const REQUESTS: [&[&str]; 3] = [
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
    &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ],
];
const REQUEST_TABLES: [&[&str]; 3] = [
    &[":authority: www.example.com"],
    &["cache-control: no-cache", ":authority: www.example.com"],
    &["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"],
];

#[test]
fn requests_of_appendix_c3_and_c4() {
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let all: Vec<_> = (0..3).map(|i| (blocks[i], REQUESTS[i], REQUEST_TABLES[i])).collect();
        examples(None, &all);
    }
}

const DATE_21: &str = "date: Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_22: &str = "date: Mon, 21 Oct 2013 20:13:22 GMT";
const LOCATION: &str = "location: https://www.example.com";
const COOKIE: &str = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

#[test]
fn responses_of_appendix_c5_and_c6_with_a_table_of_256_bytes() {
    let fields: [&[&str]; 3] = [
        &[":status: 302", "cache-control: private", DATE_21, LOCATION],
        &[":status: 307", "cache-control: private", DATE_21, LOCATION],
        &[":status: 200", "cache-control: private", DATE_22, LOCATION, "content-encoding: gzip", COOKIE],
    ];
    let tables: [&[&str]; 3] = [
        &[LOCATION, DATE_21, "cache-control: private", ":status: 302"],
        &[":status: 307", LOCATION, DATE_21, "cache-control: private"],
        &[COOKIE, "content-encoding: gzip", DATE_22],
    ];
    for blocks in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a \
             3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 \
             677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 \
             553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e \
             919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 \
             821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed \
             4ee5 b106 3d50 07",
        ],
    ] {
        let all: Vec<_> = (0..3).map(|i| (blocks[i], fields[i], tables[i])).collect();
        examples(Some(256), &all);
    }
}

#[test]
fn a_connection_joined_late_shows_what_is_certain_and_recovers() {
    let mut decoder = Decoder::new();
    decoder.forget();
    // The second and third request of appendix C.3, without the first.
    let second = read(&mut decoder, &hex("8286 84be 5808 6e6f 2d63 6163 6865")).unwrap();
    assert_eq!(second, [":method: GET", ":scheme: http", ":path: /", "?: ?", "cache-control: no-cache"]);
    let third = "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65";
    assert_eq!(read(&mut decoder, &hex(third)).unwrap()[3..], ["?: ?", "custom-key: custom-value"]);
    assert_eq!(
        read(&mut decoder, &[0xbe, 0xbf]).unwrap(),
        ["custom-key: custom-value", "cache-control: no-cache"]
    );
    // A value whose name is unknown, and then that entry.
    assert_eq!(read(&mut decoder, b"\x7f\x01\x01v\xbe").unwrap(), ["?: v", "?: v"]);
    // Sizes of 0 and then 4,096: nothing is unknown any more.
    assert_eq!(read(&mut decoder, &hex("20 3fe11f be")), Err(BadBlock));
}

#[test]
fn faults_are_found_and_make_the_table_unknown() {
    for bad in [
        "80",                // index 0
        "be",                // index 62 of an empty table
        "ff",                // an integer that is cut
        "ffffffffffffff7f",  // and one that is too large
        "4005 6162",         // a string that is cut
        "4081 ff",           // Huffman padding of a whole byte
        "40ff ffff ff07 61", // a string of 2^27 bytes
        "7f",
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(read(&mut decoder, &hex(bad)), Err(BadBlock), "{bad}");
        assert_eq!(read(&mut decoder, &[0xbe]).unwrap(), ["?: ?"]);
    }
}

#[test]
fn an_entry_may_take_its_name_from_one_that_makes_room_for_it() {
    let mut decoder = Decoder::new();
    decoder.table.resize(80);
    let name = "n".repeat(30);
    read(&mut decoder, format!("\x40\x1e{name}\x01a").as_bytes()).unwrap();
    assert_eq!(read(&mut decoder, b"\x7e\x05bbbbb").unwrap(), [format!("{name}: bbbbb")]);
    assert_eq!(table(&decoder), [format!("{name}: bbbbb")]);
}

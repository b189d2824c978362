//! Statements: one form, and every other refused at the field that is wrong.

use evidence::{Audience, Channel, MAX_STATEMENT, NoChannel, Purpose, Statement, StatementError};
use forge::World;

use crate::case::{digest, statement_bytes};

const MAGIC: &[u8] = b"sealwright/statement/v1";

fn fields(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes.strip_prefix(MAGIC).unwrap();
    let mut fields = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (field, after) = after.split_at(u16::from_be_bytes(*length).into());
        fields.push(field.to_vec());
        rest = after;
    }
    fields
}

fn join(fields: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for field in fields {
        bytes.extend(u16::try_from(field.len()).unwrap().to_be_bytes());
        bytes.extend(field);
    }
    bytes
}

/// The owner's statement with one field (counted from 1) replaced.
fn with_field(number: usize, value: &[u8]) -> Result<Statement, StatementError> {
    let mut fields = fields(&statement_bytes(&World::new().draft()));
    fields[number - 1] = value.to_vec();
    Statement::parse(&join(&fields))
}

#[test]
fn a_statement_has_eighteen_fields() {
    let bytes = statement_bytes(&World::new().draft());
    let fields = fields(&bytes);
    assert_eq!((fields.len(), join(&fields)), (18, bytes));
}

#[test]
fn a_field_of_another_length_is_refused_by_its_number() {
    let good = fields(&statement_bytes(&World::new().draft()));
    for number in 1..=18u8 {
        let field = &good[usize::from(number) - 1];
        let longer = [field.as_slice(), b"/"].concat();
        let expected = Err(StatementError::Malformed { field: number });
        assert_eq!(with_field(number.into(), &longer), expected, "longer field {number}");
        if field.len() > 1 {
            assert_eq!(with_field(number.into(), &field[..1]), expected, "shorter field {number}");
        }
    }
}

#[test]
fn values_that_no_field_has_are_refused() {
    let digest = [7u8; 32];
    let cases: [(usize, Vec<u8>); 16] = [
        (2, vec![0]),
        (2, vec![5]),
        (3, vec![0]),
        (3, [&[3], digest.as_slice()].concat()),
        (3, b"\x02spiffe://x/y".to_vec()),
        (3, b"\x02\xff".to_vec()),
        (5, vec![1; 31]),
        (7, b"spiffe://sealwright.internal/node/Node".to_vec()),
        (7, b"\xff".to_vec()),
        (15, Vec::new()),
        (15, vec![0, 1]),
        (15, [&[2], digest.as_slice()].concat()),
        (16, Vec::new()),
        (16, vec![0]),
        (16, vec![0, 0]),
        (16, vec![0, 3]),
    ];
    for (number, value) in cases {
        let field = u8::try_from(number).unwrap();
        assert_eq!(
            with_field(number, &value),
            Err(StatementError::Malformed { field }),
            "{number}: {value:?}"
        );
    }
    assert_eq!(with_field(1, &[0, 2]), Err(StatementError::Suite));
}

#[test]
fn the_frame_is_refused_as_field_zero() {
    let good = statement_bytes(&World::new().draft());
    let frame = Err(StatementError::Malformed { field: 0 });
    assert_eq!(Statement::parse(&[]), frame);
    assert_eq!(Statement::parse(&[&good, &[0u8] as &[u8]].concat()), frame);
    assert_eq!(Statement::parse(&good[1..]), frame);
    assert_eq!(Statement::parse(&vec![0; MAX_STATEMENT + 1]), frame);
    for length in MAGIC.len()..good.len() {
        let cut = Statement::parse(&good[..length]);
        assert!(matches!(cut, Err(StatementError::Malformed { .. })), "{length}: {cut:?}");
    }
}

#[test]
fn the_size_is_bounded_before_any_field_is_read() {
    // A node's id that is too long for a SPIFFE id, up to the bound and one byte beyond.
    let statement_of = |size: usize| {
        let mut fields = fields(&statement_bytes(&World::new().draft()));
        fields[6].clear();
        fields[6] = vec![b'a'; size - join(&fields).len()];
        join(&fields)
    };
    let read = |size| Statement::parse(&statement_of(size));
    assert_eq!(read(MAX_STATEMENT), Err(StatementError::Malformed { field: 7 }));
    assert_eq!(read(MAX_STATEMENT + 1), Err(StatementError::Malformed { field: 0 }));
    assert_eq!(read(MAX_STATEMENT + 2), Err(StatementError::Malformed { field: 0 }));
}

#[test]
fn an_enclave_is_told_whole_or_not_at_all() {
    for number in [8, 9, 10, 11, 12, 14] {
        assert_eq!(with_field(number, &[]), Err(StatementError::Inconsistent), "{number}");
    }
}

#[test]
fn each_purpose_has_its_fields_and_no_others() {
    let world = World::new();
    let base = world.draft().statement;
    for purpose in [Purpose::Serve, Purpose::Issue, Purpose::Release, Purpose::Node] {
        for bits in 0..16u8 {
            let [enclave, request, certificate, channel] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let statement = Statement {
                purpose,
                enclave: enclave.then(|| world.enclave.clone()),
                request: request.then(|| digest(1)),
                certificate: certificate.then(|| digest(2)),
                channel: if channel {
                    Channel::Exporter([3; 32])
                } else {
                    Channel::None(NoChannel::NotOffered)
                },
                ..base.clone()
            };
            let good = match purpose {
                Purpose::Serve => enclave && !request && certificate,
                Purpose::Issue => enclave && request && !certificate && !channel,
                Purpose::Release => enclave && request && certificate,
                Purpose::Node => !enclave && !request && !certificate && !channel,
            };
            match statement.encode() {
                Ok(bytes) => {
                    assert!(good && Statement::parse(&bytes) == Ok(statement), "{purpose:?} {bits:04b}")
                }
                Err(error) => {
                    assert!(!good && error == StatementError::Inconsistent, "{purpose:?} {bits:04b}")
                }
            }
        }
    }
}

#[test]
fn every_audience_and_every_missing_channel_is_written_and_read() {
    let base = World::new().draft().statement;
    let service = Audience::Service("spiffe://sealwright.internal/part/signer".parse().unwrap());
    for audience in [Audience::Anonymous, Audience::Key(digest(4)), service] {
        for channel in [NoChannel::NotOffered, NoChannel::Recorded] {
            let statement =
                Statement { audience: audience.clone(), channel: Channel::None(channel), ..base.clone() };
            assert_eq!(Statement::parse(&statement.encode().unwrap()), Ok(statement));
        }
    }
}

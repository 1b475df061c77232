//! Entries on their way to disk: a batch in the server's store, which is one commit, beside the same bytes in a bare SQLite table with
//! the same promise; and the chain.

mod how;
mod messages;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use messages::{entry, room};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tidings_proto::chain::{self, Tip};
use tidings_proto::{DeviceKey, Hash};
use tidings_server::store::sqlite::SqliteStore;
use tidings_server::store::{Author, Change, LogRow, NewEntry, Store};

const BATCHES: [u64; 3] = [1, 32, 512];

/// On the disk that the build is on: a folder for temporary files may be in memory, and then nothing is synced.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// The next entries of the log, and the number of the last.
fn changes(last: &mut u64, count: u64) -> Vec<Change> {
    let author = Author { user: "alice@s1".parse().expect("a name"), device: DeviceKey([1; 32]) };
    let mut changes = Vec::new();
    for seq in *last + 1..=*last + count {
        let tip = Tip { seq, hash: Hash::of(&seq.to_be_bytes()) };
        let once = Some((author.clone(), seq));
        changes.push(Change::Entry(NewEntry { log: 1, tip, entry: entry(seq).encode(), once, about: None, got: None, flawed: false }));
    }
    *last += count;
    changes
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append a batch, synced");
    for count in BATCHES {
        group.throughput(Throughput::Elements(count));
        let name = format!("{count} entries");
        group.bench_function(BenchmarkId::new("Store::commit", &name), |bencher| {
            let (folder, runtime) = (folder(), tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
            let store = SqliteStore::open(&folder.path().join("tidings.db")).expect("a store");
            let (name, people) = (room(), None);
            let (tip, stopped, followed) = (Tip::EMPTY, false, true);
            let log = LogRow { number: 1, name, room: None, people, asked: None, since: 5, followed, tip, stopped };
            runtime.block_on(store.commit(vec![Change::Log(log)])).expect("committed");
            let mut last = 0;
            let batch = || changes(&mut last, count);
            bencher.iter_batched(batch, |batch| runtime.block_on(store.commit(batch)).expect("committed"), BatchSize::PerIteration);
            runtime.block_on(store.close());
        });
        group.bench_function(BenchmarkId::new(format!("{} SQLite, one column", how::BARE), &name), |bencher| {
            let folder = folder();
            let connection = Connection::open(folder.path().join("bare.db")).expect("a database");
            let table = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE bare (seq INTEGER PRIMARY KEY, entry BLOB);";
            connection.execute_batch(table).expect("a table");
            let mut insert = connection.prepare("INSERT INTO bare (entry) VALUES (?1)").expect("a statement");
            let bytes = entry(1).encode();
            bencher.iter(|| {
                connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
                for _ in 0..count {
                    insert.execute([&bytes[..]]).expect("inserted");
                }
                connection.execute_batch("COMMIT").expect("committed");
            });
        });
    }
}

fn chain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chain an entry");
    let (log, entry) = (room(), entry(1));
    group.bench_function("chain::extend", |bencher| bencher.iter(|| chain::extend(&log, &Tip::EMPTY, &entry).expect("the next one")));
    group.bench_function(format!("{} SHA-256 of its bytes", how::BARE), |bencher| {
        let bytes = entry.encode();
        bencher.iter(|| Sha256::digest(&bytes));
    });
}

criterion_group!(name = to_disk; config = how::settings(); targets = append, chain);
criterion_main!(to_disk);

use std::collections::BTreeMap;

use super::*;

/// Every file beside the database with its content and times.
fn picture(directory: &Path) -> BTreeMap<String, (Vec<u8>, i64, i64)> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, (std::fs::read(entry.path()).unwrap(), found.mtime(), found.mtime_nsec()))
        })
        .collect()
}

/// Files after a last look apart from the lock bytes in `-shm`, which live
/// processes share.
fn same(before: &BTreeMap<String, (Vec<u8>, i64, i64)>, directory: &Path) {
    let after = picture(directory);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, content) in before {
        assert!(after[name] == *content, "{name} changed");
    }
}

fn writer(path: &Path, mode: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", mode).unwrap();
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    connection.execute_batch("create table if not exists t (v integer)").unwrap();
    connection
}

fn add(connection: &Connection, value: i64) {
    connection.execute("insert into t values (?1)", [value]).unwrap();
}

fn sum(database: &mut Database) -> i64 {
    database
        .read(|connection| {
            connection.query_row("select total(v) from t", [], |row| row.get::<_, f64>(0))
        })
        .map(|sum| format!("{sum}").parse().unwrap())
        .unwrap()
}

/// Another process that has the database open: within one process SQLite
/// shares the index, and what a reader writes there could not be told apart.
struct Other(std::process::Child);

impl Other {
    fn start(path: &Path) -> Self {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "gather::store::database::tests::other_process",
                "--ignored",
                "--nocapture",
            ])
            .env("NIX_VERIFY_TEST_DATABASE", path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut other = Self(child);
        other.wait_for("ready");
        other
    }

    fn tell(&mut self, command: &str) {
        use std::io::Write as _;
        writeln!(self.0.stdin.as_mut().unwrap(), "{command}").unwrap();
        self.wait_for("done");
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(word.as_bytes()) {
            self.0.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "run by other tests as a process of its own"]
fn other_process() {
    let Ok(path) = std::env::var("NIX_VERIFY_TEST_DATABASE") else { return };
    let connection = writer(Path::new(&path), "wal");
    println!("ready");
    for line in io::stdin().lines() {
        match line.unwrap().as_str() {
            "read" => {
                connection.query_row("select total(v) from t", [], |_| Ok(())).unwrap();
            }
            value => add(&connection, value.parse().unwrap()),
        }
        println!("done");
    }
}

#[test]
fn a_live_log_is_read_and_left_alone() {
    for read_first in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db.sqlite");
        let mut other = Other::start(&path);
        other.tell("1");
        if read_first {
            other.tell("read");
        }
        let before = picture(directory.path());
        let mut database = Database::open(&path).unwrap();
        assert_eq!(sum(&mut database), 1);
        assert!(database.watched.is_none());
        assert!(database.copy.is_none() || !read_first);
        same(&before, directory.path());
        if read_first {
            other.tell("2");
            assert_eq!(sum(&mut database), 3, "a later commit is seen");
        }
        let before = picture(directory.path());
        drop(database);
        same(&before, directory.path());
    }
}

#[test]
fn a_dead_database_is_read_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.sqlite");
    let connection = writer(&path, "wal");
    add(&connection, 5);
    drop(connection);
    assert!(!beside(&path, "-wal").exists(), "the last writer tidied up");
    let before = picture(directory.path());
    let mut database = Database::open(&path).unwrap();
    assert!(database.watched.is_some());
    assert_eq!(sum(&mut database), 5);
    same(&before, directory.path());

    // Someone comes to life: what we know is dropped and read anew.
    let connection = writer(&path, "wal");
    add(&connection, 6);
    assert_eq!(sum(&mut database), 11);
    drop(database);
    drop(connection);
}

#[test]
fn what_a_crash_leaves_is_read_from_a_copy() {
    let live = tempfile::tempdir().unwrap();
    let path = live.path().join("db.sqlite");
    let connection = writer(&path, "wal");
    add(&connection, 7);
    // The files as they would be found after a crash, without the index.
    let dead = tempfile::tempdir().unwrap();
    let dead_path = dead.path().join("db.sqlite");
    std::fs::copy(&path, &dead_path).unwrap();
    std::fs::copy(beside(&path, "-wal"), beside(&dead_path, "-wal")).unwrap();
    let before = picture(dead.path());
    let mut database = Database::open(&dead_path).unwrap();
    assert!(database.copy.is_some());
    assert_eq!(sum(&mut database), 7);
    drop(database);
    same(&before, dead.path());

    // And with the index of a process that is no more.
    std::fs::copy(beside(&path, "-shm"), beside(&dead_path, "-shm")).unwrap();
    let before = picture(dead.path());
    let mut database = Database::open(&dead_path).unwrap();
    assert_eq!(sum(&mut database), 7);
    drop(database);
    same(&before, dead.path());
    drop(connection);
}

#[test]
fn an_empty_log_beside_an_index_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.sqlite");
    let connection = writer(&path, "wal");
    add(&connection, 9);
    drop(connection);
    std::fs::write(beside(&path, "-wal"), "").unwrap();
    let before = picture(directory.path());
    let mut database = Database::open(&path).unwrap();
    assert_eq!(sum(&mut database), 9);
    drop(database);
    same(&before, directory.path());
    std::fs::write(beside(&path, "-shm"), vec![0; 32768]).unwrap();
    let before = picture(directory.path());
    let mut database = Database::open(&path).unwrap();
    assert_eq!(sum(&mut database), 9);
    drop(database);
    same(&before, directory.path());
}

#[test]
fn a_rollback_journal_needs_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.sqlite");
    let connection = writer(&path, "truncate");
    add(&connection, 3);
    let before = picture(directory.path());
    let mut database = Database::open(&path).unwrap();
    assert_eq!(sum(&mut database), 3);
    drop(database);
    same(&before, directory.path());
    drop(connection);
}

#[test]
fn nothing_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.sqlite");
    let connection = writer(&path, "wal");
    add(&connection, 3);
    for keep_alive in [Some(connection), None] {
        let mut database = Database::open(&path).unwrap();
        let error = database.read(|connection| connection.execute("delete from t", []));
        assert!(matches!(error, Err(DatabaseError::Sqlite { .. })));
        drop(keep_alive);
    }
}

#[test]
fn other_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a?b#c%d e");
    assert!(matches!(Database::open(&path), Err(DatabaseError::Io { .. })));
    for content in [&b""[..], b"SQLite format 2", b"\xff\xff"] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(Database::open(&path), Err(DatabaseError::NotDatabase(_))));
    }
    std::fs::remove_file(&path).unwrap();
    let connection = writer(&path, "wal");
    add(&connection, 4);
    assert_eq!(sum(&mut Database::open(&path).unwrap()), 4, "odd names are encoded");
    drop(connection);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(600);
    std::fs::write(&path, &bytes).unwrap();
    let damaged = Database::open(&path).and_then(|mut database| {
        database.read(|connection| {
            connection.query_row("select v from t", [], |row| row.get::<_, i64>(0))
        })
    });
    assert!(matches!(damaged, Err(DatabaseError::Sqlite { .. })));
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    for (mode, suffix) in [("delete", ""), ("wal", ""), ("wal", "-wal"), ("wal", "-shm")] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db.sqlite");
        add(&writer(&path, mode), 4);
        let fifo = beside(&path, suffix);
        if suffix == "-shm" {
            std::fs::write(beside(&path, "-wal"), b"").unwrap();
        }
        let _ = std::fs::remove_file(&fifo);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let refused = Database::open(&path).err();
        assert!(
            matches!(&refused, Some(DatabaseError::NotFile(named)) if *named == fifo),
            "{mode} {suffix}: {refused:?}"
        );
    }
}

//! The engine, and what of it survives a loss of power.

use everlink_proto::mem::Table;
use everlink_proto::session::{Config, FirstConnect, Memory, Record, Session};
use everlink_proto::store::RamStore;
use everlink_proto::wire::Version;

use super::Bounds;
use super::world::{Client, World};

const RECORD: usize = 64;

impl World {
    pub(super) fn unsaved(&self) -> Option<(Record, Vec<u8>)> {
        let mut out = vec![0; RECORD];
        let record = self.engine.unsaved(self.now, &mut out)?;
        out.truncate(record.len);
        Some((record, out))
    }

    pub(super) fn save(&mut self) {
        let Some((record, value)) = self.unsaved() else { return };
        if self.bounds.grouped {
            self.engine.handed(record);
            self.handed.push_back((record, value));
        } else {
            self.write(record, value);
            self.engine.saved(record, &mut self.inbox);
        }
    }

    fn write(&mut self, record: Record, value: Vec<u8>) {
        match record.len {
            0 => drop(self.medium.remove(&record.key)),
            _ => drop(self.medium.insert(record.key, value)),
        }
    }

    pub(super) fn confirm(&mut self) {
        if let Some((record, value)) = self.handed.pop_front() {
            self.write(record, value);
            self.engine.confirmed(record, &mut self.inbox);
        }
    }

    pub(super) fn crash(&mut self) {
        self.count.crashes += 1;
        self.count.before_crash = self.count.published;
        self.kept.clone_from(&self.inbox.stored);
        (self.heard, self.reborn) = (Some(self.safe), self.inbox.messages.len());
        self.end_connection();
        self.handed.clear();
        self.check.power_cut();
        self.engine = engine(&self.bounds);
        let mut whole = true;
        for (key, value) in self.medium.iter().filter(|(key, _)| **key != 0) {
            whole &= self.engine.restore(self.now, *key, value).is_ok();
        }
        let session = self.medium.get(&0).map_or(&[][..], Vec::as_slice);
        whole &= self.engine.restored(session).is_ok();
        if !whole {
            self.fail("what was saved cannot be read");
        }
        // The application that had them is gone.
        self.acknowledged.iter_mut().for_each(|done| *done = true);
        self.start();
    }
}

pub(super) fn engine(bounds: &Bounds) -> Client {
    let cfg = Config {
        version: bounds.version,
        clean_start: false,
        first_connect: FirstConnect::Forever,
        topic_aliases: 0,
        topic_alias_maximum: 0,
        receive_maximum: 8,
        window: bounds.window,
        ..Config::default()
    };
    debug_assert!(cfg.version == Version::V311 || cfg.session_expiry > 0);
    let memory = Memory::growing(&cfg);
    let mut engine = Session::new(cfg, RamStore::new(), memory);
    if bounds.crashes > 0 {
        engine.keep_records(RECORD, Table::growing(8));
    }
    engine
}

//! The chain's servers go, and come back.

use std::time::Instant;

use crate::audience::{AFTER, Audience, SHARED_LIMIT, VIDEO};
use crate::common::network::Cable;
use crate::common::paid::{PaidConsumer, PaidProvider};
use crate::common::regtest::Regtest;
use crate::common::webrtc::run;

#[test]
fn an_electrum_outage_is_seen_by_nobody_who_plays() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let cable = Cable::to_server(Regtest::shared().electrum_url());
        let electrum = format!("electrum-url={}", cable.url());
        let mut provider = PaidProvider::start(
            &dirs.path().join("p"),
            VIDEO,
            &format!("{SHARED_LIMIT} {electrum}"),
        );
        let link = provider.link();
        let consumers =
            ["a", "b"].map(|name| PaidConsumer::funded(&link, &dirs.path().join(name), &electrum));
        let mut audience = Audience::seated(consumers.into());
        provider.confirm();
        let unplugged = Instant::now();
        cable.unplug();
        provider.notes.wait_for("chain", |note| !note.flag("reachable"));
        for consumer in audience.each() {
            consumer.notes.wait_for("chain", |note| !note.flag("reachable"));
        }
        let before = provider.notes.all().len();
        audience.watch(3 * AFTER);
        let paid = provider.notes.all()[before..]
            .iter()
            .filter(|note| note.name == "payment");
        let paid = paid.count();
        println!("{paid} payments without a server, in {:?}", unplugged.elapsed());
        assert!(paid >= 4, "they pay on");
        cable.plug();
        provider.notes.wait_for("chain", |note| note.flag("reachable"));
        for consumer in audience.each() {
            consumer.notes.wait_for("chain", |note| note.flag("reachable"));
        }
        println!("back {:?} after the outage began", unplugged.elapsed());
        audience.saw_nothing_of("an Electrum outage", &provider.taps);
        provider.notes.check();
    });
}

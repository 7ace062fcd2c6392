//! The processes of `unpaid_consumer.sh`: a provider of a paid 720p stream, and consumers that never pay.

use gst::prelude::*;
use gststreamiumpay::inner::{ProducerEvent, Resolver, Signaller, make_src};

/// An address of the test network; nothing is ever paid to it here.
const PAYOUT: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gststreamiumpay::plugin_register_static()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let pipeline = match arguments[..] {
        ["provider", electrum_url, data_dir] => provider(electrum_url, data_dir)?,
        ["consumer", port] => consumer(port)?,
        _ => return Err("usage: unpaid_consumer provider ELECTRUM_URL DATA_DIR | consumer PORT".into()),
    };
    let bus = pipeline.bus().ok_or("a pipeline has a bus")?;
    // Whoever is cut off has done its part.
    let end = [gst::MessageType::Error, gst::MessageType::Eos];
    bus.timed_pop_filtered(None, &end);
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}

fn provider(electrum_url: &str, data_dir: &str) -> Result<gst::Pipeline, Box<dyn std::error::Error>> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let launch = format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=1280,height=720,framerate=30/1 ! queue \
         ! streamiumpaysink stun-server=none stream-name=bench run-signalling-server=true \
         signalling-server-host=127.0.0.1 signalling-server-port={port} video-caps=video/x-vp8 network=regtest \
         rate=1000 payout-address={PAYOUT} electrum-url={electrum_url} data-dir={data_dir}"
    );
    let pipeline = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>();
    let pipeline = pipeline.map_err(|_| "no pipeline")?;
    pipeline.set_state(gst::State::Playing)?;
    println!("{port}");
    Ok(pipeline)
}

fn consumer(port: &str) -> Result<gst::Pipeline, Box<dyn std::error::Error>> {
    let source = make_src()?;
    source.set_property("stun-server", None::<String>);
    let signaller = Signaller::of(&source).ok_or("webrtcsrc has a signaller")?;
    let uri = format!("ws://127.0.0.1:{port}");
    let (sender, producers) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let resolver = Resolver::start(&signaller, &uri, "bench", move |event| {
        if let Ok(sender) = sender.lock() {
            let _ = sender.send(event);
        }
    });
    let ProducerEvent::Added { peer_id } = producers.recv()? else {
        return Err("no producer".into());
    };
    resolver.stop();
    signaller.set_uri(&uri);
    signaller.set_producer(&peer_id);
    signaller.connect("webrtcbin-ready", |values| {
        let Some(webrtcbin) = values.get(1).and_then(|value| value.get::<gst::Element>().ok()) else {
            return;
        };
        webrtcbin.connect("on-data-channel", false, |_| {
            println!("connected");
            None
        });
    });
    let pipeline = gst::Pipeline::new();
    pipeline.add(&source)?;
    pipeline.set_state(gst::State::Playing)?;
    Ok(pipeline)
}

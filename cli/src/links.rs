//! Links below the road, from the flags to the builder.

use everlink::{Builder, Commands, Program, Uplink};

use crate::args::LinkArgs;
use crate::exit::Failure;

/// Tells the builder what the flags say about links.
pub(crate) fn below(mut builder: Builder, args: &LinkArgs) -> Result<Builder, Failure> {
    for uplink in uplinks(args)? {
        builder = builder.uplink(uplink);
    }
    Ok(builder.return_after(args.return_after))
}

/// The links in their order, with their programs.
pub(crate) fn uplinks(args: &LinkArgs) -> Result<Vec<Uplink>, Failure> {
    if let Some(twice) = args.links.iter().enumerate().find(|(n, l)| args.links[..*n].contains(l)) {
        return Err(Failure::usage(format!("--link {} is there twice", twice.1)));
    }
    let programs = [&args.up, &args.down, &args.reset, &args.status];
    let mut uplinks: Vec<Uplink> = args.links.iter().map(|text| Uplink::parse(text)).collect();
    if uplinks.is_empty() && programs.iter().any(|list| !list.is_empty()) {
        uplinks.push(Uplink::any());
    }
    for (n, uplink) in uplinks.iter_mut().enumerate() {
        let name = args.links.get(n).map(String::as_str);
        let mut commands = Commands::default();
        if args.network_manager {
            let interface = uplink.interface.as_deref().ok_or_else(|| {
                Failure::usage("--network-manager: a --link has to be the name of an interface")
            })?;
            commands = Commands::network_manager(interface);
        }
        let limited = |program: Program| program.limit(args.time);
        for (flag, list, place) in [
            ("--link-up", &args.up, &mut commands.up),
            ("--link-down", &args.down, &mut commands.down),
            ("--link-reset", &args.reset, &mut commands.reset),
            ("--link-status", &args.status, &mut commands.status),
        ] {
            if let Some(program) = program(flag, list, name, &args.links)? {
                *place = Some(program);
            }
            *place = place.take().map(limited);
        }
        if commands.down.is_some() && commands.up.is_none() {
            let why = "--link-down: without --link-up the link would stay down";
            return Err(Failure::usage(why));
        }
        *uplink = uplink.clone().commands(commands);
    }
    Ok(uplinks)
}

/// The program of a flag for the link of this name: one that names the link, or else one that names none.
fn program(
    flag: &str,
    list: &[String],
    link: Option<&str>,
    links: &[String],
) -> Result<Option<Program>, Failure> {
    let mut found: [Option<Program>; 2] = [None, None];
    for text in list {
        let named = text.split_once('=').filter(|(name, _)| links.iter().any(|l| l == name));
        let (place, line) = match named {
            Some((name, line)) if Some(name) == link => (0, line),
            Some(_) => continue,
            None => (1, text.as_str()),
        };
        let program = Program::parse(line).map_err(|e| Failure::usage(format!("{flag}: {e}")))?;
        if found[place].replace(program).is_some() {
            let why = "is there twice for the same link; LINK= in front says for which it is";
            return Err(Failure::usage(format!("{flag} {why}")));
        }
    }
    let [own, any] = found;
    Ok(own.or(any))
}

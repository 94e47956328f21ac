# One word for each chore. CI runs `./test`, which these recipes share; `just` itself is a convenience.

# List the recipes.
default:
    @just --list

# Everything CI runs, on a machine that may miss some tools.
test:
    ./test

# The quick half of `test`: format, lints, documentation, size limits.
check:
    ./test fmt clippy docs tidy

# Limits on files and functions; words that must not be left in.
tidy:
    ./test tidy

# Writes docs/conformance.md: each statement of the standard, where it is obeyed, which test shows it.
conformance:
    cargo run --quiet -p xtask -- conformance

# The engine for the smallest target, without allocator.
no-std:
    ./test no_std

# Outages of every kind against a broker in process, with a verdict table.
demo *ARGS:
    cargo run --release -p everlink-cli -- demo {{ARGS}}

# Random faults on fake time: `just sim 100000`; `just sim --seed 7` repeats one seed with its trace.
sim *ARGS:
    cargo run --release -q -p everlink-sim --bin everlink-sim -- {{ARGS}}

# Every interleaving within bounds: `small` is what `./test` runs, `large` takes minutes.
exhaustive BOUNDS="large" *ARGS:
    cargo run --release -q -p everlink-sim --bin everlink-sim -- --exhaustive {{BOUNDS}} {{ARGS}}

# Plants bugs one by one and says which check of the campaign finds each, and at which seed.
planted *NAMES:
    sim/planted/run {{NAMES}}

# Each fuzz target for so many minutes (nightly compiler and cargo-fuzz).
fuzz MINUTES *TARGETS:
    fuzz/run {{MINUTES}} {{TARGETS}}

# Changes the engine in two thousand small ways: which does no test notice? (cargo-mutants for the list)
mutants *ARGS:
    cargo run --release --quiet --manifest-path mutants/Cargo.toml -- {{ARGS}}

# Side by side with other clients: see bench/README.md.
bench *ARGS:
    cargo run --release --manifest-path bench/Cargo.toml -- {{ARGS}}

# A queue on disk side by side with SQLite, redb and fjall.
bench-store *ARGS:
    cargo run --release --manifest-path bench/Cargo.toml --bin bench-store -- {{ARGS}}

# Kills `everlink pub --store` at N random instants for each of QoS 1 and 2.
kills N="1000":
    EVERLINK_KILLS={{N}} cargo test -p everlink-cli --test store_mosquitto killed -- --nocapture

# What the client costs a board in flash and RAM, next to docs/size.md; `--record` writes that anew.
size *ARGS:
    cargo run --quiet -p xtask -- size {{ARGS}}

# Takes the emulated board's power away N times in each protocol version.
power-cuts N="100":
    EVERLINK_POWER_CUTS={{N}} cargo nextest run -p board-tests --test board_power --no-capture

# The emulated board: tests with `board` in their name; `firmware/README.md` tells how to run it by hand.
board *ARGS:
    cargo nextest run -p board-tests {{ARGS}}

# Faults at random against mosquitto, memory watched: `just soak --minutes 240`, `just soak --messages 1000000`.
soak *ARGS:
    cargo run --release --quiet -p everlink-brokers --bin everlink-soak -- {{ARGS}}

# Every check against real brokers: `just brokers mosquitto`; all of them need `brokers/install` once. See docs/brokers.md.
brokers *ARGS:
    cargo run --quiet -p everlink-brokers --bin everlink-brokers -- {{ARGS}}

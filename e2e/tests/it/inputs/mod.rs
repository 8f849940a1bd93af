//! The files of `corpus/`, through everything that reads inputs. `corpus/table.tsv` says what is expected of each: the
//! pixels or rows that a reference shows, or a refusal.
//!
//! The library is compared with the references ([`reader`], [`csv`]). The other readers must not differ from the library:
//! their frames have the same bytes as the frame of the image that the library reads, written as PNG ([`expected`]).

mod agent;
mod case;
mod commands;
mod csv;
mod csv_agent;
mod endurance;
mod expected;
mod folder;
mod reader;
mod reference_input;
mod stream;

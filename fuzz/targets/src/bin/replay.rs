//! Runs every input of the committed corpus through its target, without a fuzzing engine: `replay CORPUS_FOLDER`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let Some(corpus) = env::args_os().nth(1) else {
        eprintln!("usage: replay CORPUS_FOLDER");
        return ExitCode::from(2);
    };
    match replay(Path::new(&corpus)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("replay {}: {error}", Path::new(&corpus).display());
            ExitCode::FAILURE
        }
    }
}

fn replay(corpus: &Path) -> io::Result<()> {
    for entry in fs::read_dir(corpus)? {
        let name = entry?.file_name();
        if name.to_str().and_then(targets::find).is_none() {
            return Err(io::Error::other(format!("{} is no target's folder", name.display())));
        }
    }
    for target in targets::TARGETS {
        let mut count = 0;
        for input in fs::read_dir(corpus.join(target.name))? {
            let path = input?.path();
            println!("{}", path.display());
            (target.run)(&fs::read(&path)?);
            count += 1;
        }
        if count == 0 {
            return Err(io::Error::other(format!("{} has no inputs", target.name)));
        }
    }
    Ok(())
}

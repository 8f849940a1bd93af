//! Bridges from video to images: command lines of `ffmpeg` and `gst-launch-1.0` that write images to their standard output.

use std::path::Path;

/// The formats of ffmpeg that a stream can consist of.
const IMAGE_FORMATS: [&str; 5] = ["image2pipe", "mjpeg", "rawvideo", "yuv4mpegpipe", "mpjpeg"];

/// A problem of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BridgeProblem {
    pub(super) found: String,
    pub(super) fix: &'static str,
    /// Whether the source cannot work.
    pub(super) is_fatal: bool,
}

/// Returns a problem of a command line; `None` if there is none, or if the program is not known. `list` runs a program
/// with these arguments and returns its output, or `None` if it fails.
pub(super) fn find_problem(
    argv: &[String],
    list: impl Fn(&str, &[&str]) -> Option<String>,
) -> Option<BridgeProblem> {
    let [program, arguments @ ..] = argv else { return None };
    let name = Path::new(program).file_name()?.to_str()?;
    match name {
        "ffmpeg" => find_ffmpeg_problem(arguments, |what| list(program, &["-hide_banner", what])),
        "gst-launch-1.0" => find_gstreamer_problem(arguments, |element| {
            list("gst-inspect-1.0", &["--exists", element]).is_some()
        }),
        _ => None,
    }
}

fn find_ffmpeg_problem(arguments: &[String], list: impl Fn(&str) -> Option<String>) -> Option<BridgeProblem> {
    let value_of = |options: &[&str]| {
        let position = arguments.iter().rposition(|argument| options.contains(&argument.as_str()))?;
        arguments.get(position + 1).map(String::as_str)
    };
    if !arguments.iter().any(|argument| matches!(argument.as_str(), "-" | "pipe:" | "pipe:1")) {
        return Some(fatal("it does not write to its standard output", "end the command with -"));
    }
    let format = value_of(&["-f"]);
    if !format.is_some_and(|format| IMAGE_FORMATS.contains(&format)) {
        let found = match format {
            Some(format) => {
                format!("its output has the format {format:?}, which is not a sequence of images")
            }
            None => "the format of its output is not stated".to_owned(),
        };
        return Some(fatal(
            found,
            "write -f image2pipe -c:v mjpeg -q:v 2 before the - at the end of the command",
        ));
    }
    if let Some(encoder) = value_of(&["-c:v", "-vcodec", "-codec:v"])
        && !list("-encoders").is_some_and(|encoders| lists(&encoders, encoder))
    {
        return Some(fatal(
            format!("it does not have the encoder {encoder:?}"),
            "use -c:v mjpeg, or install another ffmpeg",
        ));
    }
    let is_rtsp = arguments.iter().any(|argument| argument.starts_with("rtsp://"));
    if is_rtsp && !list("-decoders").is_some_and(|decoders| lists(&decoders, "h264")) {
        return Some(fatal("it cannot decode H.264", "install an ffmpeg with the decoder h264"));
    }
    (is_rtsp && value_of(&["-rtsp_transport"]) != Some("tcp")).then(|| BridgeProblem {
        found: "it receives RTSP over UDP, so that lost packets damage images".to_owned(),
        fix: "write -rtsp_transport tcp before -i",
        is_fatal: false,
    })
}

/// Returns whether a list of ffmpeg has this name: in the second column, behind flags.
fn lists(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.split_whitespace().nth(1) == Some(name))
}

fn find_gstreamer_problem(arguments: &[String], exists: impl Fn(&str) -> bool) -> Option<BridgeProblem> {
    let elements = gstreamer_elements(arguments);
    if !elements.contains(&"fdsink") {
        return Some(fatal(
            "its pipeline does not write to its standard output",
            "end the pipeline with ! fdsink",
        ));
    }
    if !arguments.iter().any(|argument| matches!(argument.as_str(), "-q" | "--quiet")) {
        return Some(fatal(
            "its messages are in the same output as the images",
            "write -q before the pipeline",
        ));
    }
    let missing = elements.into_iter().find(|element| !exists(element))?;
    Some(fatal(
        format!("GStreamer does not have the element {missing:?}"),
        "install the package of GStreamer plugins that has it; gst-inspect-1.0 shows whether it is there",
    ))
}

/// Returns the names of the elements of a pipeline: the first word, and those behind an exclamation mark.
fn gstreamer_elements(arguments: &[String]) -> Vec<&str> {
    let (mut elements, mut is_start) = (Vec::new(), true);
    let words = arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-'));
    for word in words {
        // Capabilities, such as video/x-raw,width=640, are not elements.
        if is_start && !word.contains(['/', '=']) && word != "!" {
            elements.push(word);
        }
        is_start = word == "!";
    }
    elements
}

fn fatal(found: impl Into<String>, fix: &'static str) -> BridgeProblem {
    BridgeProblem { found: found.into(), fix, is_fatal: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: &str) -> Option<BridgeProblem> {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        find_problem(&argv, |program, arguments| match (program, arguments.last()) {
            (_, Some(&"-encoders")) => Some(" V....D mjpeg  MJPEG\n V....D rawvideo  raw video".to_owned()),
            (_, Some(&"-decoders")) => Some(" VFS..D h264  H.264 / AVC".to_owned()),
            ("gst-inspect-1.0", Some(element)) if *element != "avdec_h264" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn a_bridge_that_writes_images_has_no_problem() {
        for line in [
            "ffmpeg -rtsp_transport tcp -i rtsp://camera/1 -f image2pipe -c:v mjpeg -q:v 2 -",
            "/usr/bin/ffmpeg -f v4l2 -i /dev/video0 -f rawvideo -pix_fmt nv12 pipe:1",
            "gst-launch-1.0 -q rtspsrc location=rtsp://camera/1 ! rtph264depay ! decodebin ! jpegenc ! fdsink",
            "rpicam-vid -t 0 --codec mjpeg -o -",
        ] {
            assert_eq!(problem(line), None, "{line}");
        }
    }

    #[test]
    fn a_bridge_that_cannot_work_is_found() {
        for (line, expected) in [
            ("ffmpeg -i a.mp4 -f image2pipe -c:v mjpeg a.jpg", "does not write to its standard output"),
            ("ffmpeg -i a.mp4 -f matroska -", "matroska"),
            ("ffmpeg -i a.mp4 -", "not stated"),
            ("ffmpeg -i a.mp4 -f image2pipe -c:v libx -", "libx"),
            ("ffmpeg -i rtsp://camera/1 -f image2pipe -c:v mjpeg -", "UDP"),
            ("gst-launch-1.0 -q videotestsrc ! jpegenc", "standard output"),
            ("gst-launch-1.0 videotestsrc ! jpegenc ! fdsink", "messages"),
            (
                "gst-launch-1.0 -q filesrc location=a ! h264parse ! avdec_h264 ! jpegenc ! fdsink",
                "avdec_h264",
            ),
        ] {
            let found = problem(line).unwrap().found;
            assert!(found.contains(expected), "{line}: {found}");
        }
    }
}

//! Files: chosen, dropped and pasted, shown and saved.

use crate::screens::pictures;
use crate::someone::{about_to_talk, world};
use tidings_testbed::browser::Browser;

/// The most that a message can carry.
const MOST: usize = 32 * 1024;
/// A red dot.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mP8z8BQz0AEYBxVSF+FABJADveWkH6oAAAAAElFTkSuQmCC";

/// Bytes of which no two that follow each other are alike for long.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * at / 7 + at / 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_over_as_they_are() {
    let world = world(&["s1", "s2"]).await;
    let (here, there) = (Browser::start().await, Browser::start().await);
    let (alice, bob) = about_to_talk(&world, &here, &there).await;

    // The public chat has none.
    bob.goes_public().await;
    assert!(bob.page.all("button", "Attach a file").await.is_empty());
    let unwanted = there.file("unwanted.txt", b"x");
    bob.page.drops("textbox", "Message to Public chat", &[&unwanted]).await;
    bob.page.reads("The public chat takes no files.").await;

    // Chosen, with words beside it.
    let png = data_encoding::BASE64.decode(PNG.as_bytes()).unwrap();
    let picture = here.file("dot.png", &png);
    alice.page.chooses("Attach a file", &[&picture]).await;
    alice.page.find("list", "Files to be sent").await;
    alice.writes("bob@s2", "A dot").await;
    alice.page.gone("list", "Files to be sent").await;
    alice.page.find("image", "Picture: dot.png").await;
    bob.page.reads("alice").await;
    bob.goes_to("alice@s1").await;
    bob.page.find("image", "Picture: dot.png").await;
    bob.page.reads("A dot").await;
    bob.page
        .until("[...document.images].some((image) => image.alt === 'Picture: dot.png' && image.complete && image.naturalWidth === 10)")
        .await;
    bob.page.click("button", "Save dot.png").await;
    assert_eq!(there.saved("dot.png").await, png);

    // Dropped: as many as there are, each to the limit and no further.
    let (whole, over) = (noise(MOST), noise(MOST + 1));
    let files = [here.file("whole.bin", &whole), here.file("over.bin", &over), here.file("small <b>.html", b"<script>alert(1)</script>")];
    alice.page.drops("textbox", "Message to bob@s2", &files.each_ref().map(|file| file.as_path())).await;
    alice.page.reads("“over.bin” is larger than 32 KiB, the most that a message can carry.").await;
    alice.page.find("button", "Do not send small <b>.html").await;
    alice.page.find("button", "Do not send whole.bin").await;
    assert!(alice.page.all("button", "Do not send over.bin").await.is_empty());
    alice.page.click("button", "Send").await;
    bob.page.click("button", "Save whole.bin").await;
    assert_eq!(there.saved("whole.bin").await, whole);
    bob.page.click("button", "Save small <b>.html").await;
    assert_eq!(there.saved("small _b_.html").await, b"<script>alert(1)</script>", "under a name that is nobody's command");

    // Pasted.
    here.permits(&crate::someone::pages_of(&world, "s1"), &["clipboardReadWrite", "clipboardSanitizedWrite"]).await;
    let copy = "(async () => {
        const bytes = Uint8Array.from(atob('PNG'), (c) => c.charCodeAt(0));
        await navigator.clipboard.write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })]);
    })()";
    alice.page.front().await;
    alice.page.run(&copy.replace("PNG", PNG)).await;
    alice.page.fill("textbox", "Message to bob@s2", "").await;
    alice.page.press("Ctrl+v").await;
    alice.page.find("button", "Do not send image.png").await;
    alice.page.press("Enter").await;
    bob.page.find("image", "Picture: image.png").await;
    alice.page.gone("StaticText", "Sending").await;
    pictures(&bob.page, "files").await;
    alice.check();
    bob.check();
}

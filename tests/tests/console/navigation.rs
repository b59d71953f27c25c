//! Tests of the navigation and of the scopes of pages.

use super::fixture::Console;

#[tokio::test]
async fn pages_are_shown_only_with_their_scopes() {
    let mut console = Console::signed_in("sue", "fleet tenants:read").await;
    let overview = console.get("/console").await.text;
    for page in ["audit", "events", "accounts", "webhooks", "quotas", "sign-up"] {
        let path = format!("/console/{page}");
        assert!(!overview.contains(&format!("\"{path}\"")), "{path}: {overview}");
        let refused = console.get(&path).await;
        assert!(refused.status == 403 && refused.text.contains("lacks the scope"), "{path}: {}", refused.text);
    }
    let mut console = Console::of_operator().await;
    for page in ["audit", "events", "accounts", "webhooks", "quotas", "sign-up"] {
        let path = format!("/console/{page}");
        let page = console.get(&path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert!(page.text.contains(&format!("<a href=\"{path}\" aria-current=\"page\">")), "{path}: {}", page.text);
        for inline in [" style=", "<style", "<script>", " onclick="] {
            assert!(!page.text.contains(inline), "{path}: {inline}");
        }
    }
}

//! Adoption of an account that Freehold did not create, which needs the tag of an administrator of the organisation.

use freehold_tenancy::attention::{AttentionCode, Remedy};

use super::scene::{Probe, Scene};
use crate::scenarios::create_external_account;

#[tokio::test]
async fn an_account_is_adopted_only_with_the_tag_of_an_administrator() {
    let probe = Probe { code: AttentionCode::AccountEmailTaken, remedy: Some(Remedy::Adopt) };
    let mut scene = Scene::new(probe).await;
    scene.sign_up().await;
    scene.freehold.world.reserve_email(&scene.account_email().await);
    scene.run().await;
    scene.attention().await;
    let account = create_external_account(&scene.freehold, "spare").await.to_string();
    let environment = scene.tenant().await.environments[0].id.to_string();
    scene.adopt_untagged(&account).await;
    let command =
        format!("aws organizations tag-resource --resource-id {account} --tags Key=freehold:adopt,Value={environment}");
    // Neither no tag, nor the tag for another environment, nor Freehold's own tags without the installation suffice.
    for tag in [None, Some(("freehold:adopt", "env_other")), Some(("freehold:environment", environment.as_str()))] {
        if let Some((key, value)) = tag {
            scene.admin().tag_account(&account, key, value).await;
            scene.retry().await;
        }
        scene.run().await;
        let (code, message, _) = scene.shown_attention().await;
        assert_eq!(code, "account_not_adoptable", "{tag:?}: {message}");
        assert!(message.contains(&command), "{tag:?}: {message}");
        let found = scene.freehold.world.accounts().into_iter().find(|one| one.id == account).expect("the account");
        assert!(!found.tags.contains_key("freehold:installation"), "{tag:?}: the account was tagged");
    }
    // An administrator also moves an account that is in an OU that is not Freehold's.
    let (root, elsewhere) = scene.admin().move_to_new_ou(&account, "freehold-elsewhere").await;
    scene.admin().tag_account(&account, "freehold:adopt", &environment).await;
    scene.retry().await;
    scene.run().await;
    let (code, message, _) = scene.shown_attention().await;
    assert_eq!(code, "account_not_adoptable", "{message}");
    let command = format!(
        "aws organizations move-account --account-id {account} --source-parent-id {elsewhere} --destination-parent-id \
         {root}"
    );
    assert!(message.contains(&command), "{message}");
    scene.admin().move_to_root(&account).await;
    scene.retry().await;
    scene.run().await;
    assert_eq!(scene.shown().await["state"], "ready", "{:#}", scene.operation().await);
    assert_eq!(scene.shown().await["environments"][0]["aws_account_id"], account.as_str());
}

//! Text that the sandbox prints when it has started.

use freehold_tenancy::clock::seconds;
use secrecy::ExposeSecret;

use super::{Sandbox, StartArgs, issuer};
use crate::output;

pub(super) fn print_welcome(sandbox: &Sandbox, args: &StartArgs) -> std::io::Result<()> {
    let api = sandbox.api.url();
    let aws = sandbox.aws.url();
    let token = sandbox.data_dir.directory().join("token");
    let token = token.display();
    let token_hours = seconds(issuer::DEFAULT_TTL.as_secs_f64()).num_hours();
    let key = &sandbox.aws.world().settings().management_access_key;
    output::print_line(format!(
        "\n\
         The sandbox is ready. It uses a simulated AWS only. Its clock runs {speed} times as fast as real time.\n\n  \
         API            {api}\n  \
         documentation  {api}/docs\n  \
         console        {api}/console (opens in a browser; choose a role)\n  \
         simulated AWS  {aws}\n  \
         database       {database}\n  \
         data           {data}\n\n\
         Access token, valid for {token_hours} hours (also in {token}; `freehold token` prints others):\n\n\
         {secret}\n\n\
         Create a tenant:\n\n  \
         curl -sS {api}/v1/tenants -H \"Authorization: Bearer $(cat {token})\" \\\n    \
         -H 'Content-Type: application/json' -H \"Idempotency-Key: $(date +%s)\" \\\n    \
         -d '{{\"company_name\": \"Example GmbH\", \"admin_email\": \"admin@example.com\", \
         \"home_region\": \"eu-central-1\"}}'\n\n\
         List the accounts of the simulated AWS:\n\n  \
         AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY=any \\\n    \
         aws --endpoint-url {aws} --region us-east-1 organizations list-accounts\n\n\
         Compare the simulated AWS with the database:\n\n  \
         freehold reconcile --sandbox {aws} \\\n    \
         --database-url '{url}'\n",
        speed = args.speed,
        database = sandbox.database.printable_url().unwrap_or("see --database-url"),
        url = sandbox.database.printable_url().unwrap_or("…"),
        data = args
            .data
            .as_ref()
            .map_or("deleted on exit (--data DIR keeps it)".to_owned(), |data| data.display().to_string()),
        secret = sandbox.token.expose_secret(),
    ))?;
    if !args.exit_after_demo {
        output::print_line("Ctrl-C stops the sandbox.\n")?;
    }
    Ok(())
}

-- Formats of webhook endpoints, and test events.

alter table webhook_endpoints add column format text not null default 'freehold'
    check (format in ('freehold', 'slack', 'teams'));

comment on column webhook_endpoints.format is 'Format of the body: the event of the feed, or a message for a channel of Slack or Microsoft Teams.';
comment on column webhook_deliveries.position is 'Feed position of the event; negative for a test event, which is not in the feed. A process of the previous version cannot send a test event, and records it as failed.';

//! Tests of the console: over HTTP, as a browser without scripts uses it, and in Chromium.

mod accounts;
mod audit;
mod browser;
mod events;
mod fixture;
mod live;
mod load;
mod navigation;
mod pages;
mod quotas;
mod sign_in;
mod sign_up;
mod tenant_actions;
mod webhooks;

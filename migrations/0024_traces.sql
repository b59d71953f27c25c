-- A trace joins a request of the API, the steps that it led to, and their calls of AWS. The two halves run in different
-- processes, hours apart at times, and meet in the operation: so that is where the trace is noted.

alter table operations add column traceparent text;

comment on column operations.traceparent is
    'the span of the request that was accepted (W3C Trace Context); empty where traces are not sent anywhere';

-- What is written with a signup decides how many signups there can be in a second. An event came into feed_pending by way of a
-- table of all events of its statement, which costs more than the row itself and is of no use where there is one; and events of
-- steps, which the feed does not tell, went that way too. Now each event goes by itself, in the order in which they are written.
create function queue_event_for_feed() returns trigger language plpgsql as $$
begin
    insert into feed_pending (operation_id, seq) values (new.operation_id, new.seq);
    return null;
end
$$;

drop trigger events_go_into_the_feed on events;
drop function queue_for_feed();

-- Whoever writes an event cannot forget the feed.
create trigger events_go_into_the_feed after insert on events
    for each row when (new.type not like 'step.%') execute function queue_event_for_feed();

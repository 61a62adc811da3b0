-- What the program of version 1 wrote: a card that was issued, one in doubt, one that was being asked for, one in the
-- queue, each with a guest's name and contents in clear; and what it had still to tell.

INSERT INTO meta (name, value)
VALUES ('digest_key', '00');
INSERT INTO meta (name, value)
VALUES ('store_id', '00000000-0000-0000-0000-000000000001');
INSERT INTO job (job_id, access_method_id, state, place, not_before, attempt, faults, encoder, profile, credential, origin, event_id, occurred_at, is_reissue, created_at, state_at, expires_at, intended_at, intent, receipt, issued_at, card_uid)
VALUES (1, 'm1', 'issued', 1750000000000, 0, 1, 0, 'left', 'room', '{"joins":false,"entrances":["101"],"starts_at":"2025-06-15T15:00:00+02:00","ends_at":"2025-07-15T11:00:00+02:00"}', '{}', 'e1', 1749996000000, 0, 1750000000000, 1750000000000, 1752570000000, 1750000000000, '{"card": {"technology": "test", "uid": "04aa"}, "note": {}}', '{"evidence": "read_back", "card": {"technology": "test", "uid": "04aa"}, "note": {}}', 1750000000000, '04aa');
INSERT INTO job (job_id, access_method_id, state, open, place, not_before, attempt, faults, encoder, profile, credential, origin, event_id, is_reissue, created_at, state_at, expires_at, intended_at, intent, error)
VALUES (2, 'm2', 'unsure', 1, 1750000000000, 0, 1, 1, 'left', 'room', '{"joins":false,"entrances":["101"],"starts_at":"2025-06-15T15:00:00+02:00","ends_at":"2025-07-15T11:00:00+02:00"}', '{"access_grant_ids": ["g2"]}', 'e2', 0, 1750000000000, 1750000000000, 1752570000000, 1750000000000, '{"card": {"technology": "test", "uid": "04bb"}, "note": {"k": "v"}}', '{"type": "torn", "message": "torn"}');
INSERT INTO job (job_id, access_method_id, state, open, place, not_before, attempt, faults, profile, credential, origin, event_id, occurred_at, is_reissue, created_at, state_at, expires_at)
VALUES (3, 'm3', 'waiting_for_card', 1, 1750000000000, 0, 1, 0, 'room', '{"joins":false,"entrances":["101"],"starts_at":"2025-06-15T15:00:00+02:00","ends_at":"2025-07-15T11:00:00+02:00"}', '{}', 'e3', 1749999600000, 0, 1750000000000, 1750000000000, 1752570000000);
INSERT INTO job (job_id, access_method_id, state, open, place, not_before, attempt, faults, profile, credential, origin, event_id, is_reissue, created_at, state_at, expires_at)
VALUES (4, 'm4', 'queued', 1, 1750000000000, 0, 0, 0, 'room', '{"joins":false,"entrances":["101"],"starts_at":"2025-06-15T15:00:00+02:00","ends_at":"2025-07-15T11:00:00+02:00"}', '{"acs_system_id": "s1", "workspace_id": "w1", "access_grant_ids": ["g4"]}', 'e4', 0, 1750000000000, 1750000000000, 1752570000000);
INSERT INTO personal (job_id, fields)
VALUES (1, '{"guest": "Ms Violetta Guest"}');
INSERT INTO personal (job_id, fields)
VALUES (2, '{"guest": "Ms Violetta Guest"}');
INSERT INTO personal (job_id, fields)
VALUES (3, '{"guest": "Ms Violetta Guest"}');
INSERT INTO personal (job_id, fields)
VALUES (4, '{"guest": "Ms Violetta Guest"}');
INSERT INTO contents (job_id, data)
VALUES (2, '{"track": "dGhlLWNvbnRlbnRzLW9mLWEtY2FyZA=="}');
INSERT INTO contents (job_id, data)
VALUES (3, '{"track": "dGhlLWNvbnRlbnRzLW9mLWEtY2FyZA=="}');
INSERT INTO contents (job_id, data)
VALUES (4, '{"track": "dGhlLWNvbnRlbnRzLW9mLWEtY2FyZA=="}');
INSERT INTO event (event_id, digest, received_at, job_id, reply_to)
VALUES ('e1', x'bb7339a76273e114b2c60c8489843498357dd77b3f6306cc7ccffa1a6710bea1', 1750000000000, 1, 'answers/me');
INSERT INTO event (event_id, digest, received_at, job_id, reply_to)
VALUES ('e2', x'2b95ab3f50e0a99f3dfc46575bab6e05fdcc0d6af35e0c9c0f08a2761b6ac8c9', 1750000000000, 2, 'answers/me');
INSERT INTO event (event_id, digest, received_at, job_id, reply_to)
VALUES ('e3', x'42beb62d2548b6630169ef78a7876b143740238b48906e292da3572b360403d1', 1750000000000, 3, 'answers/me');
INSERT INTO event (event_id, digest, received_at, job_id, reply_to)
VALUES ('e4', x'51cd2d88d0700ec53def9d29f2d8ee0585809d3f8f9e0eab1176b8780f0328e8', 1750000000000, 4, 'answers/me');
INSERT INTO attempt (attempt_id, job_id, attempt, at, what, encoder)
VALUES (1, 1, 1, 1750000000000, 'prompted', 'left');
INSERT INTO attempt (attempt_id, job_id, attempt, at, what, encoder, card)
VALUES (2, 1, 1, 1750000000000, 'intended', 'left', '04aa');
INSERT INTO attempt (attempt_id, job_id, attempt, at, what, card)
VALUES (3, 1, 1, 1750000000000, 'issued', '04aa');
INSERT INTO attempt (attempt_id, job_id, attempt, at, what, encoder)
VALUES (4, 2, 1, 1750000000000, 'prompted', 'left');
INSERT INTO attempt (attempt_id, job_id, attempt, at, what, encoder, card, detail)
VALUES (5, 2, 1, 1750000000000, 'intended', 'left', '04bb', '{"k": "v"}');
INSERT INTO attempt (attempt_id, job_id, attempt, at, what, detail)
VALUES (6, 2, 1, 1750000000000, 'unsure', '{"type": "torn", "message": "torn"}');
INSERT INTO attempt (attempt_id, job_id, attempt, at, what, encoder)
VALUES (7, 3, 1, 1750000000000, 'prompted', 'right');
INSERT INTO outbox (report_id, kind, name, reply_to, body, created_at)
VALUES (1, 'response', 'trigger', 'answers/me', '{"id":"e1","status":"accepted","access_method_id":"m1","state":"queued","is_issued":false}', 1750000000000);
INSERT INTO outbox (report_id, kind, name, body, created_at)
VALUES (2, 'event', 'access_method.issued', '{"event_id":"f75f66d2-20b7-52f3-b453-e15eed31b060","event_type":"access_method.issued","event_description":"The card was written; the access method can be handed out.","access_method_id":"m1","created_at":"2025-06-15T15:06:40.000Z","occurred_at":"2025-06-15T15:06:40.000Z","trigger_event_id":"e1","state":"issued","is_issued":true,"issued_at":"2025-06-15T15:06:40.000Z","issued_by":"bridge","evidence":"read_back","encoder":"left","card":{"technology":"test","uid":"04aa"},"receipt":{},"warnings":[]}', 1750000000000);
INSERT INTO outbox (report_id, kind, name, reply_to, body, created_at)
VALUES (3, 'response', 'trigger', 'answers/me', '{"id":"e1","status":"issued","access_method_id":"m1","state":"issued","is_issued":true}', 1750000000000);
INSERT INTO outbox (report_id, kind, name, body, created_at)
VALUES (4, 'state', 'm1', '{"access_method_id":"m1","trigger_event_id":"e1","state":"issued","since":"2025-06-15T15:06:40.000Z","is_issued":true,"encoder":"left"}', 1750000000000);
INSERT INTO outbox (report_id, kind, name, reply_to, body, created_at)
VALUES (5, 'response', 'trigger', 'answers/me', '{"id":"e2","status":"accepted","access_method_id":"m2","state":"queued","is_issued":false}', 1750000000000);
INSERT INTO outbox (report_id, kind, name, body, created_at)
VALUES (6, 'event', 'encoder_bridge.job_unsure', '{"event_id":"2345ed3a-c20a-5ded-ab0e-e1170e5a0a4d","event_type":"encoder_bridge.job_unsure","event_description":"A card may carry this access method; it is being looked at.","access_method_id":"m2","created_at":"2025-06-15T15:06:40.000Z","occurred_at":"2025-06-15T15:06:40.000Z","access_grant_ids":["g2"],"trigger_event_id":"e2","state":"unsure","is_issued":false,"encoder":"left","card":{"technology":"test","uid":"04bb"},"error":{"type":"torn","message":"torn"},"warnings":[]}', 1750000000000);
INSERT INTO outbox (report_id, kind, name, reply_to, body, created_at)
VALUES (7, 'response', 'trigger', 'answers/me', '{"id":"e2","status":"unsure","access_method_id":"m2","state":"unsure","is_issued":false,"error":{"type":"torn","message":"torn"}}', 1750000000000);
INSERT INTO outbox (report_id, kind, name, reply_to, body, created_at)
VALUES (8, 'response', 'trigger', 'answers/me', '{"id":"e3","status":"accepted","access_method_id":"m3","state":"queued","is_issued":false}', 1750000000000);
INSERT INTO outbox (report_id, kind, name, reply_to, body, created_at)
VALUES (9, 'response', 'trigger', 'answers/me', '{"id":"e4","status":"accepted","access_method_id":"m4","state":"queued","is_issued":false}', 1750000000000);

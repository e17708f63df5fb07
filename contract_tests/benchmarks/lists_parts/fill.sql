-- What landing writes of cases first to last, of all parties, in the tables and columns landing writes.
INSERT INTO enforcement_case (key, source, owner_agency_code, refs, embedded, source_updated_at, source_record_id, raw_digest,
    record_digest, fetched_at, as_of, spec_version, mapping_version, case_code, source_case_no, case_name, cause_of_action,
    matter_code, party_keys, agency_code, undertake_dept, officer_cert_nos, procedure_type, case_status, filed_date,
    violation_place, violation_division_code, violation_start_date, violation_fact, involved_amount, is_major, is_off_site,
    entry_mode, recorded_at, closed_date, close_type, secret_level)
SELECT agency_code || '/' || source_case_no, 'province', '{owner}',
    json_build_object('agency', ARRAY[agency_code], 'parties', parties), '{{}}',
    source_updated_at AT TIME ZONE 'Asia/Shanghai', n::text, '{raw_digest}', '{record_digest}', now(), now(),
    '{spec_version}', '{mapping_version}', case_code, source_case_no, case_name, cause_of_action,
    matter_code, to_json(parties), agency_code, undertake_dept, to_json(officer_cert_nos), procedure_type, case_status,
    filed_date, violation_place, violation_division_code, violation_start_date, violation_fact, involved_amount, is_major,
    is_off_site, entry_mode, recorded_at AT TIME ZONE 'Asia/Shanghai', closed_date, close_type, secret_level
FROM made.cases(1, {cases});

INSERT INTO party (key, source, owner_agency_code, refs, embedded, source_updated_at, source_record_id, raw_digest,
    record_digest, fetched_at, as_of, spec_version, mapping_version, party_key, party_type, party_name, uscc,
    registered_address, party_division_code)
SELECT uscc, 'province', '{owner}', '{{}}', '{{}}',
    (timestamp '2026-01-01' + number * interval '1 second') AT TIME ZONE 'Asia/Shanghai', number::text, '{raw_digest}',
    '{record_digest}', now(), now(), '{spec_version}', '{mapping_version}', uscc, party_type, name, uscc, address, division
FROM made.party;

INSERT INTO link (entity, key, source, relation, target, holds)
SELECT 'EnforcementCase', key, 'province', relation, target, true
FROM enforcement_case CROSS JOIN LATERAL json_each(refs::json) AS way(relation, targets)
CROSS JOIN LATERAL json_array_elements_text(targets) AS target;

INSERT INTO identity (entity, natural_key, value, allotted_at)
SELECT 'EnforcementCase', key, case_code, now() FROM enforcement_case;

-- The first cases and all parties as the source's own tables tell them: every column is text, in the source's codes.
CREATE TABLE told_party AS
SELECT uscc AS tyshxydm, CASE party_type WHEN 'ORGANIZATION' THEN '1' ELSE '3' END AS xdrlb, name AS xdrmc, address AS zcdz,
    division AS xzqh, number::text AS cd_id, (timestamp '2026-01-01' + number * interval '1 second')::text AS cd_time
FROM made.party;

CREATE TABLE told_case AS
SELECT case_code AS ajm, source_case_no AS ajbh, case_name AS ajmc, cause_of_action AS ay, matter_code AS sxbm,
    agency_code AS jgdm, undertake_dept AS cbks, array_to_string(officer_cert_nos, ',') AS zfry,
    array_to_string(parties, ',') AS dsr,
    array_position(ARRAY['SUMMARY', 'ORDINARY', 'FAST_TRACK'], procedure_type)::text AS cxlx,
    CASE case_status WHEN 'FILED' THEN '10' WHEN 'INVESTIGATING' THEN '20' WHEN 'LEGAL_REVIEW' THEN '30'
        WHEN 'DECIDED' THEN '40' WHEN 'EXECUTING' THEN '50' ELSE '90' END AS ajzt,
    filed_date::text AS lasj, violation_place AS wfdd, violation_division_code AS wfdqh,
    violation_start_date::text AS wfksrq, violation_fact AS wfss, (involved_amount / 100.0)::numeric(20, 2)::text AS saje,
    is_major::int::text AS sfzd, is_off_site::int::text AS sffxc,
    CASE entry_mode WHEN 'BACKFILL' THEN '1' ELSE '0' END AS lrfs, recorded_at::text AS cjsj, closed_date::text AS jarq,
    CASE WHEN close_type IS NOT NULL THEN '1' END AS jalx, CASE secret_level WHEN 'INTERNAL' THEN '1' ELSE '0' END AS mj,
    n::text AS cd_id, source_updated_at::text AS cd_time
FROM made.cases(1, %(cases)s);

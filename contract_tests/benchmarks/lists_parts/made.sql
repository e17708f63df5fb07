-- Made-up cases and parties of a province, as typed values. Case n is always the same case, whatever else is made.
-- made.agency, made.division and made.party are filled beforehand.

-- A number from 0 up to 1 for the n-th case; every salt draws another (multipliers of good Lehmer generators).
CREATE FUNCTION made.drawn(n bigint, salt bigint) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((n * salt) % 2147483647) / 2147483647.0::double precision;

CREATE FUNCTION made.cases(first bigint, last bigint) RETURNS TABLE (
    n bigint, case_code text, source_case_no text, case_name text, cause_of_action text, matter_code text, agency_code text,
    undertake_dept text, officer_cert_nos text[], parties text[], procedure_type text, case_status text, filed_date date,
    violation_place text, violation_division_code text, violation_start_date date, violation_fact text,
    involved_amount bigint, is_major boolean, is_off_site boolean, entry_mode text, recorded_at timestamp,
    closed_date date, close_type text, secret_level text, source_updated_at timestamp
) LANGUAGE sql STABLE AS $$
SELECT n,
    division.code || lpad(agency.number::text, 4, '0') || '102' || to_char(filed, 'YYYY') || lpad(n::text, 7, '0'),
    'AJ' || to_char(filed, 'YYYY') || '-' || lpad(n::text, 8, '0'),
    one.name || '涉嫌' || cause || '案',
    cause,
    '350100-' || lpad((n % 400)::text, 4, '0'),
    agency.code,
    '执法' || (n % 9)::text || '科',
    ARRAY['350100' || lpad((agency.number * 20 + n % 20)::text, 8, '0'),
          '350100' || lpad((agency.number * 20 + (n + 7) % 20)::text, 8, '0')],
    array_remove(ARRAY[one.uscc, two.uscc, three.uscc], NULL),
    (ARRAY['SUMMARY', 'ORDINARY', 'FAST_TRACK'])[1 + n % 3],
    status,
    filed,
    '中心路' || (n % 3000)::text || '号',
    division.code,
    filed - (n % 30)::int,
    '当事人于上述日期在经营场所' || cause || '，经清点并由当事人签字确认，现场拍照取证，事实清楚。',
    floor(10 ^ (2 + 6 * made.drawn(n, 48271)))::bigint,
    made.drawn(n, 69621) < 0.02,
    made.drawn(n, 16807) < 0.1,
    CASE WHEN n % 20 = 0 THEN 'BACKFILL' ELSE 'REALTIME' END,
    filed + interval '9 hours' + (n % 28800) * interval '1 second',
    CASE status WHEN 'CLOSED' THEN filed + 20 + (n % 160)::int END,
    CASE status WHEN 'CLOSED' THEN 'PERFORMED' END,
    CASE WHEN made.drawn(n, 630360016) < 0.01 THEN 'INTERNAL' ELSE 'PUBLIC' END,
    timestamp '2026-01-01' + n * interval '1 second'
FROM generate_series(first, last) AS n
CROSS JOIN LATERAL (
    SELECT floor(power(made.drawn(n, 742938285), 1.7) * (SELECT count(*) FROM made.agency))::int AS agency_number,
        date '2019-01-01' + floor(sqrt(made.drawn(n, 950706376)) * 2555)::int AS filed,
        floor(power(made.drawn(n, 1226874159), 1.3) * (SELECT count(*) FROM made.party))::int AS first_party,
        (ARRAY['销售超过保质期的食品', '无证经营', '擅自倾倒建筑垃圾', '超限运输', '未按规定公示价格', '违法占用道路'])[1 + n % 6] AS cause
) AS drawn
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN made.drawn(n, 62089911) < CASE WHEN filed < date '2025-06-01' THEN 0.96 ELSE 0.35 END THEN 'CLOSED'
        ELSE (ARRAY['FILED', 'INVESTIGATING', 'LEGAL_REVIEW', 'DECIDED', 'EXECUTING'])[1 + (n * 7919 / 3) % 5]
    END AS status
) AS standing
JOIN made.agency AS agency ON agency.number = agency_number
JOIN made.division AS division ON division.number = CASE
    WHEN agency.is_provincial THEN floor(made.drawn(n, 1343714438) * (SELECT count(*) FROM made.division))::int
    ELSE agency.home END
JOIN made.party AS one ON one.number = first_party
LEFT JOIN made.party AS two ON n % 5 = 0
    AND two.number = (first_party + 1 + n % 1000) % (SELECT count(*) FROM made.party)
LEFT JOIN made.party AS three ON n % 20 = 0
    AND three.number = (first_party + 1001 + n % 1000) % (SELECT count(*) FROM made.party)
$$;

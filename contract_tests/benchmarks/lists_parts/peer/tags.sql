-- What PostGraphile has to be told: the links from cases to parties as a table between the two. It reads the store's own rows.
CREATE VIEW case_party AS
SELECT key AS case_key, target AS party_key FROM link WHERE holds AND entity = 'EnforcementCase' AND relation = 'parties';
COMMENT ON VIEW case_party IS E'@primaryKey case_key,party_key\n@foreignKey (case_key) references current_enforcement_case (key)\n@foreignKey (party_key) references current_party (key)';

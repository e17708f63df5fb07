-- 前置交换库的两张表，MySQL、PostgreSQL、SQLite 通用。同一 cd_id 有 i、u、d 多行，故没有主键；空单元格即 NULL。
-- cd_time 写明 DEFAULT：旧版 MySQL 会给第一个没有默认值的 TIMESTAMP 列加上 ON UPDATE（domain.md §2.2 的实见缺陷）。
CREATE TABLE t_xzcf_jd (
  cd_id        VARCHAR(32)   NOT NULL,
  internal_no  VARCHAR(100)  NOT NULL,
  cf_wsh       VARCHAR(128)  NOT NULL,
  cf_jdlx      VARCHAR(2)    NOT NULL,
  cf_cflb      VARCHAR(36),
  cf_nr        VARCHAR(4000) NOT NULL,
  cf_nr_fk     DECIMAL(18,6),
  cf_nr_wfsd   DECIMAL(18,6),
  cf_nr_zkdx   VARCHAR(200),
  cf_jdrq      VARCHAR(10)   NOT NULL,
  cf_yxq       VARCHAR(10),
  cf_lxfs      VARCHAR(200),
  cf_lxqx      VARCHAR(10),
  cf_jjtj      VARCHAR(2),
  cd_time      TIMESTAMP     NOT NULL DEFAULT CURRENT_TIMESTAMP,
  cd_source    VARCHAR(20)   NOT NULL,
  cd_batch     VARCHAR(20)   NOT NULL,
  cd_operation VARCHAR(1)    NOT NULL
);
CREATE INDEX ix_xzcf_internal_no ON t_xzcf_jd (internal_no);
CREATE INDEX ix_xzcf_cd_time ON t_xzcf_jd (cd_time);

CREATE TABLE t_xzjc_xw (
  cd_id                      VARCHAR(32)  NOT NULL,
  check_action_code          VARCHAR(50)  NOT NULL,
  check_action_name          VARCHAR(500),
  plan_id                    VARCHAR(50),
  administrative_cp          VARCHAR(200) NOT NULL,
  administrative_cp_ui_code  VARCHAR(18)  NOT NULL,
  implement_institution      VARCHAR(200) NOT NULL,
  implement_institution_code VARCHAR(18)  NOT NULL,
  check_personnel            VARCHAR(500),
  check_personnel_code       VARCHAR(500),
  check_form                 VARCHAR(2)   NOT NULL,
  check_mode                 VARCHAR(2)   NOT NULL,
  check_result               VARCHAR(2)   NOT NULL,
  check_date                 TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP,
  cd_time                    TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP,
  cd_source                  VARCHAR(20)  NOT NULL,
  cd_batch                   VARCHAR(20)  NOT NULL,
  cd_operation               VARCHAR(1)   NOT NULL
);
CREATE INDEX ix_xzjc_action_code ON t_xzjc_xw (check_action_code);
CREATE INDEX ix_xzjc_ui_code ON t_xzjc_xw (administrative_cp_ui_code);
CREATE INDEX ix_xzjc_cd_time ON t_xzjc_xw (cd_time);

#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 36bd0430001518d6e946ea11a1eb42f9432b3115 tests/test_dates.py tests/test_reports.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_dates.py b/tests/test_dates.py
index fc0251b..f4bb227 100644
--- a/tests/test_dates.py
+++ b/tests/test_dates.py
@@ -33,6 +33,19 @@ def test_contains():
     assert date(2024, 4, 1) not in march
 
 
+@pytest.mark.parametrize("month", [2, 4, 12], ids=["february", "april", "december"])
+def test_first_and_last_day_belong_to_the_month(month):
+    period = Period.month(2024, month)
+    assert period.start in period
+    assert period.end in period
+
+
+def test_period_of_one_day():
+    day = date(2024, 5, 1)
+    assert day in Period(day, day)
+    assert date(2024, 5, 2) not in Period(day, day)
+
+
 def test_months_of_a_year():
     months = Period.year(2024).months()
     assert len(months) == 12
diff --git a/tests/test_reports.py b/tests/test_reports.py
index 224a3c7..27528e2 100644
--- a/tests/test_reports.py
+++ b/tests/test_reports.py
@@ -47,6 +47,26 @@ def test_monthly_summary():
     assert february.saved == Money.parse("1920")
 
 
+def test_last_days_are_counted_once():
+    rows = [
+        "2024-01-31,Salary,Assets:Bank,Income:Job,2500.00",
+        "2024-02-01,Rent,Expenses:Flat,Assets:Bank,900.00",
+        "2024-12-31,Bonus,Assets:Bank,Income:Job,100.00",
+    ]
+    header = JOURNAL.splitlines()[0]
+    summaries = monthly_summary(Ledger(read_csv("\n".join([header, *rows]))), 2024)
+    assert [month.income.cents for month in summaries] == [250000] + [0] * 10 + [10000]
+    assert [month.expenses.cents for month in summaries] == [0, 90000] + [0] * 10
+
+
+def test_in_period_has_the_last_day():
+    row = "2023-12-31,Bonus,Assets:Bank,Income:Job,100.00"
+    header = JOURNAL.splitlines()[0]
+    bonus = Ledger(read_csv(f"{header}\n{row}\n"))
+    assert len(bonus.in_period(Period.year(2023))) == 1
+    assert len(bonus.in_period(Period.year(2024))) == 0
+
+
 def test_monthly_report_leaves_out_quiet_months():
     lines = monthly_report(ledger(), 2024).splitlines()
     assert [line.split()[0] for line in lines[2:]] == ["2024-01", "2024-02"]
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_dates.py tests/test_reports.py
SWEBENCH_TEST_EXIT_CODE=$?
: '>>>>> End Test Output'
echo ">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE"
git checkout 36bd0430001518d6e946ea11a1eb42f9432b3115 tests/test_dates.py tests/test_reports.py

#!/bin/bash
set -uxo pipefail
cd /testbed
git status
git checkout 36bd0430001518d6e946ea11a1eb42f9432b3115 tests/test_entries.py tests/test_money.py
git apply -v - <<'EOF_5127408931'
diff --git a/tests/test_entries.py b/tests/test_entries.py
index e2b6f19..d4893b8 100644
--- a/tests/test_entries.py
+++ b/tests/test_entries.py
@@ -56,6 +56,23 @@ def test_import_shared_row():
     assert [posting.amount.cents for posting in entry.postings] == [451, 450, -901]
 
 
+def test_import_shared_refund():
+    row = "2024-06-20,Refund,Expenses:A|Expenses:B|Expenses:C,Assets:Cash,-10.00\n"
+    (entry,) = read_csv(HEADER + row)
+    amounts = [posting.amount.cents for posting in entry.postings]
+    assert sorted(amounts[:3]) == [-334, -333, -333]
+    assert amounts[3] == 1000
+
+
+def test_one_cent_too_much_is_refused():
+    postings = (
+        Posting("Assets:Cash", Money.from_cents(-1000)),
+        Posting("Expenses:Food", Money.from_cents(1001)),
+    )
+    with pytest.raises(UnbalancedError, match="0.01 EUR is left over"):
+        Transaction(DAY, "Odd", postings)
+
+
 def test_import_names_the_bad_line():
     with pytest.raises(JournalError, match="line 2: not an amount"):
         read_csv(HEADER + "2024-03-01,Meal,Expenses:A,Assets:Cash,much\n")
diff --git a/tests/test_money.py b/tests/test_money.py
index 620b570..82eb692 100644
--- a/tests/test_money.py
+++ b/tests/test_money.py
@@ -51,6 +51,18 @@ def test_allocate_without_rest():
     assert [share.cents for share in Money.from_cents(-900).allocate(3)] == [-300] * 3
 
 
+@pytest.mark.parametrize(
+    ("cents", "parts"),
+    [(-1000, 3), (-2000, 3), (-1005, 7), (-1, 2), (-99999999, 4)],
+    ids=["one-left", "two-left", "seven", "one-cent", "large"],
+)
+def test_allocate_a_negative_amount(cents, parts):
+    shares = [share.cents for share in Money.from_cents(cents).allocate(parts)]
+    assert len(shares) == parts
+    assert sum(shares) == cents
+    assert max(shares) - min(shares) <= 1
+
+
 def test_allocate_keeps_the_currency():
     assert Money.from_cents(5, "CHF").allocate(2)[1].currency == "CHF"
 
EOF_5127408931
: '>>>>> Start Test Output'
python3 -m pytest -rA -p no:cacheprovider tests/test_entries.py tests/test_money.py
: '>>>>> End Test Output'
git checkout 36bd0430001518d6e946ea11a1eb42f9432b3115 tests/test_entries.py tests/test_money.py

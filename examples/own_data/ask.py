"""Asks an exported policy each question of a file, with transformers alone.

For example: python ask.py run/export rows.jsonl
"""

import json
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

folder, rows = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
for line in Path(rows).read_text().splitlines()[:6]:
    row = json.loads(line)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": row["question"]}],
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    output = model.generate(**inputs, do_sample=False, max_new_tokens=24)
    response = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    print(f"{row['question']}\n  {response}  (right: {row['answer']})")

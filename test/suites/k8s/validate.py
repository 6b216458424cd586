"""Built manifests against schemas, strictly: python validate.py FILE…; run by run.ts. One line for each fault, exit code 1 if there are any."""

import logging
import sys

import kubernetes_validate
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject

# The oldest has what the manifests use: sleep as preStop, matchLabelKeys.
VERSIONS = ["1.30", "1.37"]


def faults(resource):
    if resource["apiVersion"].startswith("keda.sh/"):
        return keda_faults(resource)
    return [fault for version in VERSIONS for fault in kubernetes_faults(resource, version)]


def kubernetes_faults(resource, version):
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [f"Kubernetes {version}: {getattr(error, 'message', error)}"]
    return []


def keda_faults(resource):
    try:
        read = ScaledObject.model_validate(resource)
    except ValueError as error:
        return [f"KEDA: {error}"]
    # The model passes over fields it does not know: what comes out must be what went in.
    known = read.spec.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return [] if known == resource["spec"] else [f"KEDA: unknown fields, {resource['spec']} is read as {known}"]


def main(files):
    logging.disable(logging.WARNING)
    count, wrong = 0, 0
    for file in files:
        with open(file, encoding="utf-8") as text:
            for resource in yaml.safe_load_all(text):
                count += 1
                for fault in faults(resource):
                    wrong += 1
                    print(f"{file}: {resource['kind']} {resource['metadata'].get('name', '')}: {fault}")
    print(f"{len(files)} files, {count} resources, {wrong} faults")
    return 1 if wrong or not count else 0


sys.exit(main(sys.argv[1:]))

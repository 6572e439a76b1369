#!/usr/bin/env bash
# Push the images to ECR and write the overlay `eks-pushed`, which names them.
#
#     deploy/eks/push.sh           # the service and the page
#     deploy/eks/push.sh MODELS    # also TensorFlow Serving, with the exported models in the folder MODELS
#
# The registry is that of the account and region of the AWS CLI. An image is tagged with the git commit; tags are never
# overwritten, so an image that is there already is not built again. PUBLIC_URL=http://… sets the address of the service
# that the page shows in its examples.
set -euo pipefail
models=${1:+$(realpath -- "$1")}
cd "$(dirname "$0")/../.."

fail() {
    echo "error: $1" >&2
    exit 1
}
[ $# -le 1 ] || fail "usage: deploy/eks/push.sh [MODELS]"
[ -z "$models" ] || [ -f "$models/models.config" ] || fail "$1 has no models.config; export the models into it first"
[ -z "$(git status --porcelain)" ] || fail "there are uncommitted files, so the commit would not describe the images"
region=${AWS_REGION:-$(aws configure get region)} || fail "no region: set AWS_REGION"
account=$(aws sts get-caller-identity --query Account --output text)
registry=$account.dkr.ecr.$region.amazonaws.com
commit=$(git rev-parse --short=12 HEAD)
export AWS_REGION=$region
aws ecr get-login-password | docker login --username AWS --password-stdin "$registry"

# push NAME TAG ARGUMENT…: build the image with the arguments of `docker build`, unless the registry has it.
push() {
    local name=$1 image=$registry/$1:$2
    aws ecr describe-repositories --repository-names "$name" > /dev/null 2>&1 ||
        aws ecr create-repository --repository-name "$name" --image-tag-mutability IMMUTABLE \
            --image-scanning-configuration scanOnPush=true > /dev/null
    if aws ecr describe-images --repository-name "$name" --image-ids "imageTag=$2" > /dev/null 2>&1; then
        echo "$image is there already"
    else
        docker build --platform linux/amd64 --tag "$image" "${@:3}"
        docker push "$image"
    fi
}
push traffic-sign-service "$commit" --file Dockerfile.service --target slim .
push traffic-sign-ui "$commit" --file Dockerfile.ui .
base=eks
if [ -n "$models" ]; then
    base=eks-tf-serving
    # The models are not in git, so their content is part of the tag.
    content=$(cd "$models" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-12)
    push traffic-sign-tf-serving "$commit-$content" --file deploy/tf-serving/Dockerfile "$models"
fi

overlay=deploy/kubernetes/overlays/eks-pushed
# image NAME TAG: print the entry that puts the pushed image in place of the one that the overlay has.
image() {
    echo "  - {name: 000000000000.dkr.ecr.eu-central-1.amazonaws.com/$1, newName: $registry/$1, newTag: $2}"
}
mkdir -p "$overlay"
{
    echo "# Written by deploy/eks/push.sh."
    echo "apiVersion: kustomize.config.k8s.io/v1beta1"
    echo "kind: Kustomization"
    echo "resources: [../$base]"
    echo "images:"
    image traffic-sign-service "$commit"
    image traffic-sign-ui "$commit"
    [ -z "$models" ] || image traffic-sign-tf-serving "$commit-$content"
    if [ -n "${PUBLIC_URL:-}" ]; then
        echo "configMapGenerator:"
        echo "  - {name: traffic-sign-ui, namespace: traffic-signs, behavior: merge, literals: [UI_PUBLIC_URL=$PUBLIC_URL]}"
    fi
} > "$overlay/kustomization.yaml"
echo "wrote $overlay; next: make deploy OVERLAY=eks-pushed"
